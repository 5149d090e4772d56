"""What decision trees, forests and boosting share: features in bins, growing on the ranks, trees as flat arrays."""
