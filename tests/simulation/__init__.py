"""The core of batch jobs with a service, a disk and a clock under a seeded scheduler."""
