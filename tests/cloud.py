"""A stand-in for AWS that takes `sam deploy`: moto's server, and what CloudFormation itself does to a SAM template.

    python3 tests/cloud.py --port 5000

Moto knows no transforms; SAM's own is a library of the SAM CLI. What moto does not make of a template, it leaves out: HTTP API,
alarms, policies of queues, secrets.
"""

import json
import os
import re
from urllib.parse import urlparse

import yaml
from moto.cloudformation import responses
from moto.cloudformation.utils import yaml_tag_constructor
from moto.s3.models import s3_backends
from moto.server import main
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform


def template(url, account_id, partition):
    """The template that `sam deploy` has put into its bucket, as CloudFormation would go on with it."""
    bucket, key = urlparse(url).path.lstrip("/").split("/", 1)
    yaml.add_multi_constructor("", yaml_tag_constructor)
    written = yaml.load(s3_backends[account_id][partition].get_object(bucket, key).value, yaml.Loader)
    for parameter in written["Parameters"].values():
        # A parameter is text, whatever YAML takes its default for.
        parameter["Default"] = str(parameter["Default"])
    defaults = {name: parameter["Default"] for name, parameter in written["Parameters"].items()}
    plain = json.dumps(transform(json.loads(json.dumps(written)), defaults, ManagedPolicyLoader(None)))
    # Moto makes no secrets of a template: these names are those of tests/documents.py.
    return re.sub(r'\{"Ref": "(\w+)Secret"\}', lambda found: f'"{found[1].upper()}_SECRET"', plain)


# The translator asks for it.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
responses.get_stack_from_s3_url = template
main()
