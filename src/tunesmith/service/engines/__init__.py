"""What trains and generates behind the service: the seam and the engines that fit it."""
