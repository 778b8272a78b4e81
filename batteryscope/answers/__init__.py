"""What is predicted: classes, which may have an order, or quantities."""
