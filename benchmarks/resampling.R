# CPU seconds per replicate of boot::boot around glm, on one core; resampling.py runs it.
#
#     Rscript resampling.R TABLE.csv REPLICATES
#
# TABLE.csv: cell, celltype (text, unused by the model), y (counts), x (0 or 1), covariates. Prints two numbers: for
# the least that must be done, and as SCENT 1.0.1 does it: cell and celltype stay in the table, and every replicate
# also computes the covariance matrix.
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1], stringsAsFactors = TRUE)
d$cell <- as.character(d$cell)
d$celltype <- as.character(d$celltype)
replicates <- as.integer(arguments[2])
formula <- reformulate(setdiff(names(d), c("cell", "celltype", "y")), "y")
least <- function(data, i) coef(glm(formula, family = poisson, data = data[i, ]))
as_scent <- function(data, i) {
  fitted <- glm(formula, family = "poisson", data = data[i, , drop = FALSE])
  c(coef(fitted)["x"], diag(vcov(fitted))["x"])
}
needed <- d[setdiff(names(d), c("cell", "celltype"))]
set.seed(1)

timed <- function(data, statistic) {
  # R compiles a function when it is called for the second time.
  invisible(boot::boot(data, statistic, R = 3))
  invisible(gc())
  started <- proc.time()
  invisible(boot::boot(data, statistic, R = replicates))
  # boot() fits the data as they are, too.
  sum((proc.time() - started)[1:2]) / (replicates + 1)
}

cat(timed(needed, least), timed(d, as_scent), "\n")
