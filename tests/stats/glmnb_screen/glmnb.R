# Fits of glm.nb to real perturbations, which test_negbin_screen.py compares with. Prints how many there are.
# Run: Rscript glmnb.R FOLDER_OF_EXPORT_INPUT FOLDER_FOR_RESULTS    (R 4.2.2, MASS 7.3-58.2)
suppressPackageStartupMessages(library(MASS))

arguments <- commandArgs(trailingOnly = TRUE)
input <- arguments[1]
output <- arguments[2]
PSEUDOCOUNTS <- c(0, 0.01)

cells <- read.csv(file.path(input, "cells.csv"))
counts <- read.csv(file.path(input, "counts.csv"), check.names = FALSE)
called <- as.matrix(read.table(file.path(input, "guides.txt")))
guides <- read.csv(file.path(input, "guides.csv"))
cells$guides <- log(rowSums(called))
cells$depth <- log(cells$umis)

# 1 - prod (1 - G eff) over the guides of a target.
perturbed <- function(target, by_efficiency) {
  x <- rep(1, nrow(called))
  for (j in which(guides$target == target)) {
    x <- x * (1 - called[, j] * (if (by_efficiency) guides$efficiency[j] else 1))
  }
  1 - x
}

fit <- function(formula, d) {
  said <- character()
  fit <- withCallingHandlers(glm.nb(formula, data = d), warning = function(w) {
    said <<- c(said, conditionMessage(w))
    invokeRestart("muffleWarning")
  })
  numbers <- summary(fit)$coefficients[, 1:2]
  terms <- sub("\\(Intercept\\)", "intercept", sub("I(xA * xB)", "xAB", rownames(numbers), fixed = TRUE))
  names <- c(outer(c("beta", "se"), terms, paste, sep = "_"))
  # dpois complains of counts that are not whole, in an AIC that nobody asks for.
  said <- grep("non-integer", unique(said), value = TRUE, invert = TRUE)
  data.frame(
    as.list(setNames(as.vector(t(numbers)), names)),
    theta = fit$theta, se_theta = fit$SE.theta, loglik = fit$twologlik / 2, deviance = fit$deviance,
    converged = as.numeric(fit$converged), warnings = paste(said, collapse = "; ")
  )
}

# All with whole perturbations, every third with efficiencies too.
cases <- function(table) {
  rows <- rbind(
    cbind(table, by_efficiency = 0),
    cbind(table[seq(1, nrow(table), by = 3), ], by_efficiency = 1)
  )
  merge(rows, data.frame(pseudocount = PSEUDOCOUNTS), by = NULL)
}

run <- function(name, formula, terms) {
  table <- cases(read.csv(file.path(input, paste0(name, ".csv")), colClasses = "character"))
  targets <- intersect(c("target", "target_1", "target_2"), names(table))
  results <- lapply(seq_len(nrow(table)), function(i) {
    case <- table[i, ]
    x <- lapply(case[targets], perturbed, case$by_efficiency == 1)
    d <- data.frame(y = counts[[case$gene]] + case$pseudocount, cells, setNames(x, terms))
    cbind(n_perturbed = sum(Reduce(`*`, x) > 0), fit(formula, d)) # by both, of a pair
  })
  table <- cbind(table, do.call(rbind, results))
  to <- gzfile(file.path(output, paste0(name, ".csv.gz")), "w", compression = 9)
  write.csv(table, to, row.names = FALSE, quote = FALSE) # 15 significant digits
  close(to)
  cat(sprintf("%s: %d fits, %d with a warning\n", name, nrow(table), sum(table$warnings != "")))
}

run("base", y ~ x + batch + guides + offset(depth), "x")
run("pair", y ~ xA + xB + I(xA * xB) + batch + guides + offset(depth), c("xA", "xB"))
