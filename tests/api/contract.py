"""Holds every answer against openapi.yaml: a documented route, a documented status, the documented shape."""
import json
import re
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
# Statuses that any path may give to requests outside the contract.
ALWAYS = {"405"}


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def find_path(path):
    """The template of a concrete path, or None."""
    path = re.sub(r"^/v1(?=/)", "", path.split("?")[0])
    for template in DOCUMENT["paths"]:
        if re.fullmatch(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(template)), path):
            return template
    return None


def check_schema(value, schema):
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def check_problem(response):
    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json", response.headers
    check_schema(problem, {"$ref": "#/components/schemas/Problem"})
    assert problem["status"] == response.status_code
    assert problem["type"].endswith("/problems/" + problem["code"])
    if response.status_code == 422:
        assert problem["errors"], problem
    if response.status_code in (429, 503, 507):
        assert int(response.headers["Retry-After"]) >= 1
    return problem


def check(method, path, response):
    """Asserts that this answer is one that openapi.yaml describes."""
    template = find_path(path)
    if response.status_code >= 400 and method != "HEAD":
        check_problem(response)
    if template is None:
        assert response.status_code in (400, 404, 414), (path, response.status_code)
        return
    status = str(response.status_code)
    operation = DOCUMENT["paths"][template].get("get" if method == "HEAD" else method.lower())
    if operation is None or method == "OPTIONS" or status in ALWAYS:
        assert status in ("400", "405", "204"), (method, path, status)
        return
    assert status in operation["responses"], f"{method} {template} answered {status}, which openapi.yaml does not have"
    described = resolve(operation["responses"][status])
    content = described.get("content", {})
    kind = response.headers.get("Content-Type", "").split(";")[0]
    if response.content and method != "HEAD":
        assert kind in content, f"{method} {template} {status} answered {kind}"
        schema = content[kind].get("schema")
        if schema and (kind == "application/json" or kind.endswith("+json")):
            check_schema(json.loads(response.content), schema)
