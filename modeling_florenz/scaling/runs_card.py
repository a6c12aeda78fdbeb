"""Render the card of the table of runs as a dataset."""

from pathlib import Path
from string import Template

from huggingface_hub import DatasetCardData

from ..card_template import LANGUAGES, OWNER, fill, linked, read_facts, read_results, table


NAME = "scaling_runs"
FIELDS = {
    "arm": "what the run differs in, such as `plain` or `partial`",
    "width": "of encoder and decoder",
    "steps": "of training; the schedule ends in the last one",
    "seed": "of weights and data",
    "label": "`measured-here`",
    "batch_size": "examples per step",
    "samples": "examples seen",
    "grounding": "share of the words of a translation's source that are hidden",
    "captioned": "languages whose captions were in training",
    "diverged": "whether a loss was not a number",
    "parameters": "`all`, `without_embeddings`, `trained`",
    "loss": "means over languages: `unseen_captioning`, `seen_translation`, `seen_captioning`, in nats per token",
    "losses": "of captions and translations, language by language",
    "accuracy": "by way (`direct`, `prefix`, `pivot`, `translate`), language and measure; null where not measured",
    "train_loss": "steps and training losses",
    "seconds, core_seconds": "of training, and of one core with what was measured",
    "versions, hardware, git_commit, command": "what ran, and on what",
}


def render_runs_card(folder: Path) -> str:
    """Render the card from `hub_cards`."""
    facts, law = read_facts(folder, NAME), read_results(folder, "law")
    runs = law["grid"]["finished"]
    metadata = DatasetCardData(
        language=LANGUAGES,
        license=facts["license"],
        pretty_name=facts["pretty_name"],
        task_categories=["tabular-regression"],
        size_categories=["n<1K"],
        annotations_creators=["machine-generated"],
        tags=["florenz", "scaling-laws", "image-captioning", "synthetic"],
        configs=[{"config_name": "runs", "data_files": "runs.jsonl", "default": True}],
    )
    repository = f"{OWNER}/{NAME}"
    values = {
        "name": NAME,
        "repository": repository,
        "image": f"{NAME}.png",
        "quick_start": Template(facts["quick_start"]).substitute(repository=repository),
        "structure": table([("runs", "train", str(runs))], ("configuration", "split", "rows")),
        "fields": table(
            [(", ".join(f"`{one}`" for one in names.split(", ")), what) for names, what in FIELDS.items()],
            ("field", "what"),
        ),
        "results": "Slopes of the logarithm of the loss, with intervals of 95 %; protocol and command: "
        f"{linked('[law.json]($files/results/law.json)', f'datasets/{repository}')}.\n\n{law['table']}",
    }
    names = ("summary", "picture", "making", "limits", "licence")
    return fill(
        folder, "dataset", metadata, values | {name: linked(facts[name], f"datasets/{repository}") for name in names}
    )
