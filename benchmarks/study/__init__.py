"""Studies: methods × environments × sparsities × penalties × seeds, from one small file."""
