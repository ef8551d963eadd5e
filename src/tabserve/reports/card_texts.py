"""The texts of a model card, with what is filled in by the card in braces."""

SYNTHETIC = """**Trained on synthetic data**: not one row of it was observed. Learn from it, test with it; do not decide
about people with it."""

OBSERVED = "Trained on the table named below."

PURPOSE = """To {purpose} of the {problem.name} problem that come from the same source as its training data, in the same
columns and units."""

LIMITS = """- Rows from another population, period or unit: nothing here says how it does there.
- Causes: a feature that moves the score need not move the outcome.
- Decisions about a person without a human who can overrule them."""

NOTE = """> **The threshold was moved** after the evaluation, from {measured} to {chosen}: a row is
> now called positive when its probability is at least {chosen}. What is said below about the threshold, and
> every figure that needs one (F1, cost, accuracy, precision, recall, flagged share), was true at {measured}.

"""

TEMPLATE = """# Model card: {problem.name}

{origin}

- Data: {data[source]}; {data[rows]:,} rows, {rows}, {features}; sha256
  `{data[sha256]}`.
- Kind: {kind}; the candidate `{winner}`.
- Split: {split.how}; {split.held_out} held out and opened once, {split.folds} on the
  rest.

## What it is for

{purpose}

## What it must not be used for

{limits}

## Figures on the hold-out

{holdout}

## The candidates

Mean ± standard deviation over {problem.folds} folds; no {chosen} saw the rows it is scored on. {saved}{trees}

```text
{bars}
```

{candidates}

{decision}

{sections}## Made with

{versions}.
"""
