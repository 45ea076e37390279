"""What others say of rendered objects: one JSON question on standard input, a list of complaints on
standard output. tests/it/judges.rs is who asks.

    {"judge": "kubernetes", "versions": ["1.28"], "objects": [{"apiVersion": …}]}
 -> ["1.28: Service/weir-ui: spec.ports.0: …"]

    {"judge": "yamllint", "documents": {"NAME": "YAML text"}}
 -> ["NAME:3: too many spaces inside braces"]
"""

import functools
import json
import sys


def kubernetes(question):
    import kubernetes_validate
    from kubernetes_validate import utils

    # It reads a megabyte of definitions for each object otherwise.
    utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)
    for version in question["versions"]:
        if version not in {utils.major_minor(known) for known in utils.all_versions()}:
            yield f"{version} is not known, {utils.latest_version()} is the newest"
        for item in question["objects"]:
            name = f"{version}: {item['kind']}/{item['metadata']['name']}"
            try:
                utils.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(step) for step in error.path)
                yield f"{name}: {path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name}: {error.message}"


def yamllint(question):
    from yamllint import linter
    from yamllint.config import YamlLintConfig

    # Helm writes lists as wide as their keys, and lines as long as they are.
    config = YamlLintConfig(
        """
        extends: default
        rules:
          line-length: disable
          comments: {min-spaces-from-content: 1}
          braces: {min-spaces-inside: 0, max-spaces-inside: 1}
          comments-indentation: disable
          document-start: disable
          indentation: {spaces: 2, indent-sequences: whatever}
          truthy: {check-keys: false}
        """
    )
    for name, text in question["documents"].items():
        for problem in linter.run(text, config):
            yield f"{name}:{problem.line}: {problem.desc} ({problem.rule})"


def main():
    question = json.load(sys.stdin)
    judge = {"kubernetes": kubernetes, "yamllint": yamllint}[question["judge"]]
    json.dump(list(judge(question)), sys.stdout)


main()
