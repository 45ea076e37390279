"""Runs Helm's own engine on a chart: one JSON question on standard input, one JSON answer on standard
output. `weir-chart` (src/engine.rs) is who asks; PYTHONPATH has the packages of `cargo xtask python`.

    {"chart": DIR, "task": "render", "requests": [{"values": [FILE], "set": {}, "release": "weir",
     "namespace": "weir", "kube_version": "1.28", "api_versions": []}]}
 -> [{"objects": [{"source": "weir/templates/…", "text": "apiVersion: …", "json": {}}], "notes": "…"},
     {"error": "what Helm says"}]

    {"chart": DIR, "task": "lint", "requests": [the same]}
 -> [{"messages": [{"severity": 2, "path": "…", "error": "…"}]}]

    {"chart": DIR, "task": "describe"}
 -> {"values": {}, "schema": {}, "metadata": {}}
"""

import json
import re
import sys

import helm_python
import yaml
from helm_python import _native

# The parser in C where there is one: ten times as fast on dashboards.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOCUMENT_START = re.compile(r"^---\s*$", re.MULTILINE)


def main():
    question = json.load(sys.stdin)
    chart = question["chart"]
    if question["task"] == "describe":
        answer = describe(chart)
    else:
        task = {"render": render, "lint": lint}[question["task"]]
        answer = [answer_or_error(task, chart, request) for request in question["requests"]]
    json.dump(answer, sys.stdout)


def answer_or_error(task, chart, request):
    try:
        return task(chart, request)
    except helm_python.HelmError as error:
        return {"error": getattr(error, "detail", None) or str(error)}
    except yaml.YAMLError as error:
        # Helm refuses what is no YAML when it sorts the manifests, which rendering alone does not do.
        return {"error": f"the rendered manifests are no YAML: {error}"}


def render(directory, request):
    options = {"name": request["release"], "namespace": request["namespace"], "is_install": True}
    for key in ("kube_version", "api_versions"):
        if request.get(key):
            options[key] = request[key]
    with helm_python.Chart.load(directory) as chart:
        values = composed_values(request)
        # As `helm install` does; rendering alone does not look at the schema.
        chart.validate_schema(chart.merge_values(values))
        # Not chart.render(): it knows neither Kubernetes' version nor its APIs.
        arguments = json.dumps(values), json.dumps(options)
        files = json.loads(_native.call_string("helm_render", chart._raw(), *arguments))
    notes = [text for source, text in files.items() if source.endswith("NOTES.txt")]
    return {"objects": list(objects(files)), "notes": "".join(notes)}


def objects(files):
    for source, text in sorted(files.items()):
        if not source.endswith((".yaml", ".yml")):
            continue
        for document in DOCUMENT_START.split(text):
            value = yaml.load(document, Loader=YAML_LOADER)
            if value is not None:
                yield {"source": source, "text": document.strip() + "\n", "json": value}


def lint(directory, request):
    report = helm_python.lint(
        directory, composed_values(request), strict=True, namespace=request["namespace"]
    )
    return {"messages": report["messages"]}


def describe(directory):
    with helm_python.Chart.load(directory) as chart:
        return {"values": chart.values, "schema": chart.schema, "metadata": chart.metadata}


def composed_values(request):
    """As `helm install -f FILE … --set-json …` composes them: later ones win, maps are merged."""
    values = {}
    for path in request["values"]:
        with open(path, encoding="utf-8") as file:
            merge(values, helm_python.values_from_yaml(file.read()))
    merge(values, request["set"] or {})
    return values


def merge(values, newer):
    for key, value in newer.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


main()
