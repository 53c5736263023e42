"""Records what aws-sam-translator makes of the templates here: python3 record.py. The recordings were made with version 1.110.0."""
import glob
import json
import os

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
from samtranslator.yaml_helper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.model.exceptions import InvalidDocumentException


class Session:
    region_name = "us-east-1"


for name in sorted(glob.glob("*.yaml")):
    with open(name) as f:
        template = yaml_parse(f.read())
    parameters = {n: p["Default"] for n, p in template.get("Parameters", {}).items() if "Default" in p}
    parameters["AWS::Region"] = "us-east-1"
    try:
        out = Translator({}, Parser(), boto_session=None).translate(template, parameters)
    except InvalidDocumentException as e:
        out = {"error": e.message, "causes": [c.message for c in e.causes]}
    with open(name[:-5] + ".json", "w") as f:
        json.dump(out, f, indent=1, sort_keys=True)
        f.write("\n")
