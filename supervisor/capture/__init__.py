"""What each task said, kept until its end and then handed over as records."""
