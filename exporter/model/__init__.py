"""Pure values that every room shares: target, job, failure, result, stream, state. Standard library only."""
