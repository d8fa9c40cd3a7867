#!/usr/bin/env python3
"""Schemas for kubeconform out of Kubernetes' own OpenAPI description: schemas.py swagger.json DIRECTORY

One file a kind that has one group and version, `deployment-apps-v1.json`; unknown fields are refused."""
import json
import os
import sys

source, directory = sys.argv[1:]
definitions = json.load(open(source))["definitions"]
os.makedirs(directory, exist_ok=True)
# What the description calls strings and Kubernetes takes as numbers too.
LENIENT = {"util.intstr.IntOrString": "integer", "api.resource.Quantity": "number"}


def strict(name):
    for end, kind in LENIENT.items():
        if name.endswith(end):
            return {"oneOf": [{"type": "string"}, {"type": kind}]}
    schema = dict(definitions[name])
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    return schema


def local(value):
    """References lead into the one file that all kinds share."""
    if isinstance(value, dict):
        return {
            key: "_definitions.json" + item if key == "$ref" and isinstance(item, str) else local(item)
            for key, item in value.items()
        }
    return [local(item) for item in value] if isinstance(value, list) else value


def write(name, value):
    with open(os.path.join(directory, name), "w") as file:
        json.dump(value, file)


schemas = {name: strict(name) for name in definitions}
write("_definitions.json", {"definitions": local(schemas)})
for schema in schemas.values():
    kinds = schema.get("x-kubernetes-group-version-kind", [])
    if len(kinds) != 1:
        continue
    group, version, kind = (kinds[0][key] for key in ("group", "version", "kind"))
    own = local(schema)
    own["properties"] = dict(own.get("properties", {}))
    own["properties"]["apiVersion"] = {"enum": [f"{group}/{version}" if group else version]}
    own["properties"]["kind"] = {"enum": [kind]}
    parts = [kind] + ([group.split(".")[0]] if group else []) + [version]
    write("-".join(parts).lower() + ".json", own)
