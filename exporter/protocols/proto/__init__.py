"""Messages of gRPC services, as far as we use them. How the Python is made from the .proto files: CONTRIBUTING.md."""
