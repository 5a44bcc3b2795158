"""Fast paths: the same networks with packed weights, fused kernels and bf16, checked against the plain modules."""
