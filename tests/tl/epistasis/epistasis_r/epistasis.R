# Fits of R to pairs of enhancers, which test_epistasis_r.py compares with. Prints how many pairs there are.
# Run: Rscript epistasis.R FOLDER_OF_EXPORT_INPUT FOLDER_FOR_RESULTS    (R 4.2.2, MASS 7.3-58.2)
suppressPackageStartupMessages(library(MASS))

arguments <- commandArgs(trailingOnly = TRUE)
input <- arguments[1]
output <- arguments[2]
GROUPS <- c("CD14-Mono", "CD4-TCM", "CD8-Naive")
PER_GROUP <- 1400 # twice as many as are taken at most: of more pairs every k-th, k even
MIN_CELLS <- 10
SUBSET <- 20 # pairs a group for glm.nb and the sandwich
STATES <- c("10", "01", "11")

read_matrix <- function(folder, modality) {
  names <- readLines(file.path(folder, paste0(modality, "_names.txt")))
  values <- scan(file.path(folder, paste0(modality, ".txt")), quiet = TRUE)
  matrix(values, ncol = length(names), dimnames = list(NULL, names))
}

read_group <- function(group) {
  folder <- file.path(input, group)
  list(
    cells = read.csv(file.path(folder, "cells.csv"), check.names = FALSE),
    rna = read_matrix(folder, "rna"),
    atac = read_matrix(folder, "atac"),
    pairs = read.csv(file.path(folder, "pairs.csv"), colClasses = "character")
  )
}

# The cells of one pair as a data frame: counts, both enhancers, the three states.
frame_of <- function(data, pair) {
  x1 <- data$atac[, pair$enhancer_1]
  x2 <- data$atac[, pair$enhancer_2]
  data.frame(
    y = data$rna[, pair$gene], x1 = x1, x2 = x2,
    s10 = x1 * (1 - x2), s01 = (1 - x1) * x2, s11 = x1 * x2,
    percent.mito = data$cells$percent.mito, exposure = log(data$cells$nUMI)
  )
}

# Cells and counts of the gene in the states 00, 10, 01, 11.
states_of <- function(d) {
  state <- factor(d$x1 + 2 * d$x2, levels = 0:3)
  c(n = tabulate(state, 4), umi = as.vector(tapply(d$y, state, sum, default = 0)))
}

wald <- function(fit, term) summary(fit)$coefficients[term, c(1, 2, 4)]

fit_pair <- function(d) {
  joint <- glm(y ~ s10 + s01 + s11 + percent.mito + offset(exposure), family = poisson, data = d)
  product <- glm(y ~ x1 * x2 + percent.mito + offset(exposure), family = poisson, data = d)
  # The cells of the paper: enhancer 2 closed, enhancer 1 closed, both closed or both open.
  one <- glm(y ~ x1 + percent.mito + offset(exposure), family = poisson, data = d[d$x2 == 0, ])
  two <- glm(y ~ x2 + percent.mito + offset(exposure), family = poisson, data = d[d$x1 == 0, ])
  alike <- d[d$x1 == d$x2, ]
  alike$both <- alike$x1 * alike$x2
  alike$dosage <- alike$x1 + alike$x2 # 0 or 2, as the paper codes it
  both <- glm(y ~ both + percent.mito + offset(exposure), family = poisson, data = alike)
  dosage <- glm(y ~ dosage + percent.mito + offset(exposure), family = poisson, data = alike)
  fits <- list(joint, product, one, two, both, dosage)

  terms <- paste0("s", STATES)
  b <- coef(joint)[terms]
  slope <- c(-exp(b[1:2]), exp(b[3]))
  # glm stops where leverages still move in the fourth digit.
  cook <- cooks.distance(update(joint, data = d, control = list(epsilon = 1e-14)))[d$s11 == 1]
  c(
    setNames(as.vector(t(summary(joint)$coefficients[terms, 1:2])), outer(c("beta", "se"), STATES, paste, sep = "_")),
    setNames(wald(product, "x1:x2"), c("beta_interaction", "se_interaction", "p_interaction")),
    reri = unname(exp(b[3]) - exp(b[1]) - exp(b[2]) + 1),
    se_reri = sqrt(drop(t(slope) %*% vcov(joint)[terms, terms] %*% slope)),
    cook_ratio = max(cook) / mean(cook),
    setNames(wald(one, "x1"), paste0("separate_", c("beta", "se", "p"), "_10")),
    setNames(wald(two, "x2"), paste0("separate_", c("beta", "se", "p"), "_01")),
    setNames(wald(both, "both"), paste0("separate_", c("beta", "se", "p"), "_11")),
    setNames(wald(dosage, "dosage"), paste0("dosage_", c("beta", "se", "p"), "_11")),
    converged = as.numeric(all(vapply(fits, function(fit) fit$converged, NA)))
  )
}

fit_negbin <- function(d) {
  said <- character()
  fit <- withCallingHandlers(
    glm.nb(y ~ s10 + s01 + s11 + percent.mito + offset(exposure), data = d),
    warning = function(w) {
      said <<- c(said, conditionMessage(w))
      invokeRestart("muffleWarning")
    }
  )
  terms <- paste0("s", STATES)
  numbers <- summary(fit)$coefficients[terms, 1:2]
  data.frame(
    theta = fit$theta, se_theta = fit$SE.theta,
    as.list(setNames(as.vector(t(numbers)), outer(c("beta", "se"), STATES, paste, sep = "_"))),
    converged = as.numeric(fit$converged), warnings = paste(unique(said), collapse = "; ")
  )
}

# H^-1 (sum u u') H^-1 of the interaction, H^-1 as summary has it; residuals divided by 1 - leverage for HC3.
fit_sandwich <- function(d) {
  fit <- glm(y ~ x1 * x2 + percent.mito + offset(exposure), family = poisson, data = d)
  z <- model.matrix(fit)
  bread <- vcov(fit)
  residual <- residuals(fit, type = "response")
  error <- function(u) sqrt((bread %*% crossprod(z * u) %*% bread)["x1:x2", "x1:x2"])
  data.frame(hc0 = error(residual), hc3 = error(residual / (1 - hatvalues(fit))))
}

# Two pairs of each of the most expressed genes: those with the most and the fewest cells in state 11.
most_expressed <- function(table) {
  table <- table[order(-rowSums(table[paste0("umi", 1:4)]), table$gene, -table$n4), ]
  ends <- !duplicated(table$gene) | !duplicated(table$gene, fromLast = TRUE)
  head(table[ends, ], SUBSET)
}

# As many pairs from one end to the other.
spread <- function(table) table[round(seq(1, nrow(table), length.out = SUBSET)), ]

rows <- function(parts) do.call(rbind, parts)
write <- function(table, name) {
  to <- gzfile(file.path(output, name), "w", compression = 9)
  write.csv(table, to, row.names = FALSE, quote = FALSE) # 15 significant digits
  close(to)
}

all_pairs <- list()
negbin <- list()
sandwich <- list()
for (group in GROUPS) {
  data <- read_group(group)
  every <- seq_len(nrow(data$pairs))
  counted <- rows(lapply(every, function(i) states_of(frame_of(data, data$pairs[i, ]))))
  usable <- apply(counted[, 1:4] >= MIN_CELLS & counted[, 5:8] > 0, 1, all)
  table <- cbind(group = group, data$pairs, counted)[usable, ]
  step <- 2 * ceiling(nrow(table) / PER_GROUP)
  chosen <- table[seq(1, nrow(table), by = step), ]
  started <- proc.time()[["elapsed"]]
  fits <- rows(lapply(seq_len(nrow(chosen)), function(i) fit_pair(frame_of(data, chosen[i, ]))))
  seconds <- proc.time()[["elapsed"]] - started
  names(chosen)[5:12] <- c(outer(c("00", STATES), c("n", "umi"), function(a, b) paste(b, a, sep = "_")))
  all_pairs[[group]] <- cbind(chosen, fits)
  few <- most_expressed(table)
  negbin[[group]] <- cbind(few[1:4], rows(lapply(seq_len(nrow(few)), function(i) fit_negbin(frame_of(data, few[i, ])))))
  some <- spread(table)
  robust <- rows(lapply(seq_len(nrow(some)), function(i) fit_sandwich(frame_of(data, some[i, ]))))
  sandwich[[group]] <- cbind(some[1:4], robust)
  cat(sprintf(
    "%s: %d pairs, %d with %d cells and a count in each state, every %d-th fitted (%d, %.0f s), %d by glm.nb\n",
    group, nrow(data$pairs), nrow(table), MIN_CELLS, step, nrow(chosen), seconds, nrow(few)
  ))
}
write(rows(all_pairs), "pairs.csv.gz")
write(rows(negbin), "negbin.csv.gz")
write(rows(sandwich), "sandwich.csv.gz")
