"""What surrounds the policy in a bundle: README, CMake package, examples."""

from dspctl.exporter.bundle_files.render import SHA256SUMS, Subject, bundle_files, checksums

__all__ = ["SHA256SUMS", "Subject", "bundle_files", "checksums"]
