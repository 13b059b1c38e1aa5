# CPU seconds of one refit of MASS::glm.nb with a permuted perturbation: Rscript permutation.R table.csv number
suppressPackageStartupMessages(library(MASS))
arguments <- commandArgs(trailingOnly = TRUE)
table <- read.csv(arguments[1])
number <- as.integer(arguments[2])
columns <- setdiff(names(table), c("y", "x", "offset"))
formula <- as.formula(paste("y ~ x +", paste(columns, collapse = " + "), "+ offset(offset)"))
set.seed(1)
started <- proc.time()
for (k in seq_len(number)) {
  table$x <- sample(table$x)
  suppressWarnings(summary(glm.nb(formula, data = table))$coefficients["x", 4])
}
spent <- proc.time() - started
cat(spent[["user.self"]] + spent[["sys.self"]], "\n")
cat(as.character(packageVersion("MASS")), "\n")
