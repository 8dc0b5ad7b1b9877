"""Additional permissions that a call needs."""

from .aws_call import AwsCall


def needed_actions(call: AwsCall) -> list[str]:
    actions = [f"{call.service}:{call.action}"]
    if call.service != "ec2":
        return actions
    # Tagging a new resource also needs permission for CreateTags:
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    if any(name.startswith("TagSpecification.") for name in call.parameters):
        actions.append("ec2:CreateTags")
    # Launching an instance with a role needs permission to pass that role to EC2:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    if any(name.startswith("IamInstanceProfile.") for name in call.parameters):
        actions.append("iam:PassRole")
    return actions
