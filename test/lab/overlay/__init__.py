"""What moto's server lacks of EC2, EBS, KMS and STS for blockferry's workflow: see the README beside this package."""
