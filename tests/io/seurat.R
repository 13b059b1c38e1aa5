# Makes seurat4.rds and seurat5.rds, which the tests read (R 4.2, SeuratObject 4.1.3). Signac and Seurat 5 are not
# needed: their classes ChromatinAssay and Assay5 are declared here with the same slots.
suppressMessages(library(SeuratObject)); library(Matrix)
set.seed(1)
bc <- c("AAACAGCCAAGGAATC-1","AAACAGCCAATCCCTT-1","AAACAGCCAATGCGCT-1","AAACAGCCACACTAAT-1","AAACAGCCACCAACCG-1")
rna <- as(Matrix(matrix(c(0,2,1,0,3, 1,0,0,4,0, 5,0,0,0,1), 3, byrow=TRUE, dimnames=list(c("NOC2L","HLA-A","MT-CO1"), bc)), sparse=TRUE), "dgCMatrix")
atac <- as(Matrix(matrix(c(1,0,1,0,0, 0,2,0,0,1), 2, byrow=TRUE, dimnames=list(c("chr1-10-20","chr1-30-40"), bc)), sparse=TRUE), "dgCMatrix")
o <- CreateSeuratObject(rna, meta.data=data.frame(celltype=c("B","T","B","T","B"), row.names=bc))
o@assays$RNA@data@x <- log1p(o@assays$RNA@data@x)
setClass("ChromatinAssay", contains="Assay", slots=c(ranges="ANY", motifs="ANY", fragments="list", seqinfo="ANY", annotation="ANY", bias="ANY", positionEnrichment="list", links="ANY"))
a <- CreateAssayObject(counts=atac)
ca <- new("ChromatinAssay", counts=a@counts, data=a@data, scale.data=a@scale.data, key="atac_", var.features=a@var.features, meta.features=a@meta.features, misc=a@misc, ranges=NULL, motifs=NULL, fragments=list(), seqinfo=NULL, annotation=NULL, bias=NULL, positionEnrichment=list(), links=NULL)
o@assays$ATAC <- ca
o@assays$ADT <- CreateAssayObject(counts=rna[1:2,])
saveRDS(o, "seurat4.rds")
# v5 shape
setClass("Assay5", slots=c(layers="list", cells="ANY", features="ANY", default="integer", assay.orig="character", meta.data="data.frame", misc="list", key="character"))
o5 <- o; l <- rna; dimnames(l) <- list(NULL,NULL)
lm <- function(n, m=1) matrix(TRUE, length(n), m, dimnames=list(n, "counts"))
a5 <- new("Assay5", layers=list(counts=l), cells=lm(bc), features=lm(rownames(rna)), default=1L, assay.orig="", meta.data=data.frame(), misc=list(), key="rna_")
o5@assays$RNA <- a5; o5@version <- package_version("5.0.1")
saveRDS(o5, "seurat5.rds")
