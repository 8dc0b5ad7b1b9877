"""
Parts of EC2, EBS, KMS and STS that moto's server lacks and blockferry needs: see the README beside this
package.
"""
