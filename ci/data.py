"""Says which of the given JSON and YAML files do not parse."""

import json
import pathlib
import sys

import yaml


def problem(path: pathlib.Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.loads(text)
        else:
            list(yaml.safe_load_all(text))
    except (ValueError, yaml.YAMLError) as error:
        return str(error)
    return None


def main(names: list[str]) -> int:
    problems = {name: problem(pathlib.Path(name)) for name in names if pathlib.Path(name).exists()}
    for name, text in problems.items():
        if text is not None:
            print(f"{name}: {text}", file=sys.stderr)
    return int(any(text is not None for text in problems.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
