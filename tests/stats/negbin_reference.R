# Prints the table FROM_R of test_negbin.py. Data without a random generator, so that both sides can make them.
# Run: Rscript negbin_reference.R    (R 4.2.2, MASS 7.3-58.2)
suppressPackageStartupMessages(library(MASS))

i <- 0:59
peak <- as.numeric(i %% 4 == 0)
depth <- ((7 * i) %% 60) / 30 - 1
counts <- (((i * i) %% 7) * ((i * 5) %% 3)) %/% 2 + (i %% 11 == 0) * 9
exposure <- ((13 * i) %% 60) / 60 - 0.5
times <- (i %% 4 + 1) %% 3  # 0, 1 or 2
silent <- counts * (1 - peak)  # 0 in all open cells
even <- 2 + i %% 2  # underdispersed

show <- function(name, fit, theta = TRUE) {
  s <- summary(fit, dispersion = 1)
  term <- rownames(s$coefficients) == "peak"
  numbers <- c(s$coefficients[term, 1:2], fit$deviance, if (theta) c(fit$theta, fit$SE.theta, fit$twologlik / 2))
  cat(sprintf("    %-12s [%s],\n", paste0('"', name, '":'), paste(sprintf("%.15g", numbers), collapse = ", ")))
}
quiet <- function(fit) withCallingHandlers(fit, warning = function(w) {
  cat("    #", conditionMessage(w), "\n")
  invokeRestart("muffleWarning")
})

show("plain", glm.nb(counts ~ peak + depth))
show("offset", glm.nb(counts ~ peak + depth + offset(exposure)))
rows <- rep(i + 1, times)
show("repeated", glm.nb(counts ~ peak + depth, data = data.frame(counts, peak, depth)[rows, ]))
show("separated", quiet(glm.nb(silent ~ peak + depth)))
show("even", quiet(glm.nb(even ~ peak + depth)))
show("held", glm(counts ~ peak + depth, family = negative.binomial(1.5)), FALSE)
show("held silent", quiet(glm(silent ~ peak + depth, family = negative.binomial(1.5))), FALSE)
tryCatch(glm.nb(rep(0, 60) ~ peak), error = function(e) cat("    # all zero:", conditionMessage(e), "\n"))

# FROM_R_PSEUDOCOUNT of negbin_data.py: counts + 0.01, which are not whole, of which an AIC that nobody asks for complains.
mute <- function(fit) suppressWarnings(fit)
show("plain", mute(glm.nb(counts + 0.01 ~ peak + depth)))
show("offset", mute(glm.nb(counts + 0.01 ~ peak + depth + offset(exposure))))
show("repeated", mute(glm.nb(counts + 0.01 ~ peak + depth, data = data.frame(counts, peak, depth)[rows, ])))
show("separated", mute(glm.nb(silent + 0.01 ~ peak + depth)))
show("held", mute(glm(counts + 0.01 ~ peak + depth, family = negative.binomial(1.5))), FALSE)
show("held silent", mute(glm(silent + 0.01 ~ peak + depth, family = negative.binomial(1.5))), FALSE)
