"""The exercises of each lab: labNN.py registers those with ids NN-1, NN-2, ..."""
