"""Publications by name, and which of them a run used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scanlink.p_values import PERMUTED_KINDS
from scanlink.report.asked import bootstrap_beside

__all__ = ["REFERENCES", "Method", "Reference", "fdr_method", "inference_methods", "resolved"]


@dataclass(frozen=True)
class Reference:
    """A publication; ``doi`` is empty where it has none, and ``url`` then says where it is."""

    text: str
    doi: str = ""
    url: str = ""

    @property
    def link(self) -> str:
        """Where it can be read."""
        return f"https://doi.org/{self.doi}" if self.doi else self.url


@dataclass(frozen=True)
class Method:
    """What was done, in a sentence, and what describes it: publications, or their names in :data:`REFERENCES`."""

    what: str
    references: tuple[str | Reference, ...] = ()


REFERENCES = {
    "scent": Reference(
        "Sakaue S, Weinand K, Isaac S, et al. Tissue-specific enhancer-gene maps from multimodal single-cell data "
        "identify causal disease alleles. Nature Genetics 56, 615-626 (2024).",
        "10.1038/s41588-024-01682-1",
    ),
    "glm": Reference(
        "Nelder JA, Wedderburn RWM. Generalized linear models. Journal of the Royal Statistical Society A 135, 370-384 "
        "(1972).",
        "10.2307/2344614",
    ),
    "negbin": Reference(
        "Venables WN, Ripley BD. Modern Applied Statistics with S, 4th edition. Springer (2002).",
        "10.1007/978-0-387-21706-2",
    ),
    "boot": Reference(
        "Davison AC, Hinkley DV. Bootstrap Methods and their Application. Cambridge University Press (1997).",
        "10.1017/CBO9780511802843",
    ),
    "saddlepoint": Reference(
        "Davison AC, Hinkley DV. Saddlepoint approximations in resampling methods. Biometrika 75, 417-431 (1988).",
        "10.1093/biomet/75.3.417",
    ),
    "tail": Reference(
        "Lugannani R, Rice S. Saddle point approximation for the distribution of the sum of independent random "
        "variables. Advances in Applied Probability 12, 475-490 (1980).",
        "10.2307/1426607",
    ),
    "rstar": Reference(
        "Barndorff-Nielsen OE. Inference on full or partial parameters based on the standardized signed log likelihood "
        "ratio. Biometrika 73, 307-322 (1986).",
        "10.1093/biomet/73.2.307",
    ),
    "spa": Reference(
        "Dey R, Schmidt EM, Abecasis GR, Lee S. A fast and accurate algorithm to test for binary phenotypes and its "
        "application to PheWAS. American Journal of Human Genetics 101, 37-49 (2017).",
        "10.1016/j.ajhg.2017.05.014",
    ),
    "crt": Reference(
        "Candes E, Fan Y, Janson L, Lv J. Panning for gold: 'model-X' knockoffs for high dimensional controlled "
        "variable selection. Journal of the Royal Statistical Society B 80, 551-577 (2018).",
        "10.1111/rssb.12265",
    ),
    "sceptre": Reference(
        "Barry T, Wang X, Morris JA, Roeder K, Katsevich E. SCEPTRE improves calibration and sensitivity in "
        "single-cell CRISPR screen analysis. Genome Biology 22, 344 (2021).",
        "10.1186/s13059-021-02545-2",
    ),
    "spacrt": Reference(
        "Niu Z, Ray Choudhury J, Katsevich E. The conditional saddlepoint approximation for fast and accurate "
        "large-scale hypothesis testing. arXiv:2407.08911 (2024).",
        "10.48550/arXiv.2407.08911",
    ),
    "hc0": Reference(
        "White H. A heteroskedasticity-consistent covariance matrix estimator and a direct test for "
        "heteroskedasticity. Econometrica 48, 817-838 (1980).",
        "10.2307/1912934",
    ),
    "hc3": Reference(
        "MacKinnon JG, White H. Some heteroskedasticity-consistent covariance matrix estimators with improved finite "
        "sample properties. Journal of Econometrics 29, 305-325 (1985).",
        "10.1016/0304-4076(85)90158-7",
    ),
    "clusters": Reference(
        "Liang KY, Zeger SL. Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22 (1986).",
        "10.1093/biomet/73.1.13",
    ),
    "bh": Reference(
        "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a practical and powerful approach to multiple "
        "testing. Journal of the Royal Statistical Society B 57, 289-300 (1995).",
        "10.1111/j.2517-6161.1995.tb02031.x",
    ),
    "by": Reference(
        "Benjamini Y, Yekutieli D. The control of the false discovery rate in multiple testing under dependency. "
        "Annals of Statistics 29, 1165-1188 (2001).",
        "10.1214/aos/1013699998",
    ),
    "storey": Reference(
        "Storey JD, Tibshirani R. Statistical significance for genomewide studies. PNAS 100, 9440-9445 (2003).",
        "10.1073/pnas.1530509100",
    ),
    "glimmirs": Reference(
        "Zhou JL, Guruvayurappan K, Toneyan S, et al. Analysis of single-cell CRISPR perturbations indicates that "
        "enhancers predominantly act multiplicatively. Cell Genomics 4, 100672 (2024).",
        "10.1016/j.xgen.2024.100672",
    ),
    "phipson": Reference(
        "Phipson B, Smyth GK. Permutation P-values should never be zero: calculating exact P-values when permutations "
        "are randomly drawn. Statistical Applications in Genetics and Molecular Biology 9, 39 (2010).",
        "10.2202/1544-6115.1585",
    ),
    "aic": Reference(
        "Akaike H. A new look at the statistical model identification. IEEE Transactions on Automatic Control 19, "
        "716-723 (1974).",
        "10.1109/TAC.1974.1100705",
    ),
    "replogle": Reference(
        "Replogle JM, Saunders RA, Pogson AN, et al. Mapping information-rich genotype-phenotype landscapes with "
        "genome-scale Perturb-seq. Cell 185, 2559-2575 (2022).",
        "10.1016/j.cell.2022.05.013",
    ),
    "capstone": Reference(
        "Zheng A, Hua C, Li L. Machine learning for multiomics: identifying interacting DNA elements. Capstone report, "
        "NYU Center for Data Science (2024).",
        url="https://github.com/ANNIZHENG/CDS-2024-Fall-Capstone",
    ),
    "reri": Reference(
        "Hosmer DW, Lemeshow S. Confidence interval estimation of interaction. Epidemiology 3, 452-456 (1992).",
        "10.1097/00001648-199209000-00012",
    ),
    "cook": Reference(
        "Cook RD. Detection of influential observation in linear regression. Technometrics 19, 15-18 (1977).",
        "10.1080/00401706.1977.10489493",
    ),
    "cochran": Reference(
        "Cochran WG. The combination of estimates from different experiments. Biometrics 10, 101-129 (1954).",
        "10.2307/3001666",
    ),
    "i2": Reference(
        "Higgins JPT, Thompson SG. Quantifying heterogeneity in a meta-analysis. Statistics in Medicine 21, 1539-1558 "
        "(2002).",
        "10.1002/sim.1186",
    ),
    "hvg": Reference(
        "Satija R, Farrell JA, Gennert D, Schier AF, Regev A. Spatial reconstruction of single-cell gene expression "
        "data. Nature Biotechnology 33, 495-502 (2015).",
        "10.1038/nbt.3192",
    ),
    "gencode": Reference(
        "Frankish A, Carbonell-Sala S, Diekhans M, et al. GENCODE: reference annotation for the human and mouse "
        "genomes in 2023. Nucleic Acids Research 51, D942-D949 (2023).",
        "10.1093/nar/gkac1071",
    ),
    "mudata": Reference(
        "Bredikhin D, Kats I, Stegle O. MUON: multimodal omics analysis framework. Genome Biology 23, 42 (2022).",
        "10.1186/s13059-021-02577-8",
    ),
    "dask": Reference(
        "Rocklin M. Dask: parallel computation with blocked algorithms and task scheduling. Proceedings of the 14th "
        "Python in Science Conference, 126-132 (2015).",
        "10.25080/Majora-7b98e3ed-013",
    ),
}


def resolved(methods: Iterable[Method]) -> list[tuple[str, list[Reference]]]:
    """List methods with their publications, each once; names that are no publication are passed over."""
    return [
        (
            method.what,
            [
                one if isinstance(one, Reference) else REFERENCES[one]
                for one in method.references
                if isinstance(one, Reference) or one in REFERENCES
            ],
        )
        for method in dict.fromkeys(methods)
    ]


def inference_methods(options: Mapping[str, Any], *, interaction: bool = False) -> list[Method]:
    """List what is behind the p-value of a test of counts, and behind its robust errors."""
    methods = []
    if options.get("family") == "negbin":
        methods.append(Method("Negative binomial regression, dispersion by maximum likelihood", ("negbin",)))
    names = [str(options.get("p_value"))]
    if bootstrap_beside(options):
        names.append("bootstrap")
    for kind in [PERMUTED_KINDS[name] for name in names if name in PERMUTED_KINDS]:
        wording = kind.interaction if interaction else kind.effect
        if wording.method:
            methods.append(Method(wording.method, wording.references))
    robust = str(options.get("robust", ""))
    if options.get("cluster"):
        methods.append(Method("Cluster-robust standard errors", ("clusters",)))
    elif robust:
        methods.append(Method(f"Sandwich standard errors ({robust})", ("hc0" if robust == "HC0" else "hc3",)))
    return methods


def fdr_method(options: Mapping[str, Any]) -> Method:
    """Name the method of the section of options that has ``method``."""
    return Method("False discovery rate", (str(options.get("method", "bh")),))
