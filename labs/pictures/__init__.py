"""What single labs draw: labNN.py has the pictures and drawn widgets of lab NN. What labs share is in labs/show.py."""
