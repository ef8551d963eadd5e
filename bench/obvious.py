"""The obvious API of product categories: Flask and scikit-learn's `predict` for each request, under gunicorn."""

from flask import Flask, Response, jsonify, request
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from categories.sample import products

ROWS = 8_000


def fit() -> object:
    """Fit the same kind of model as the case, with scikit-learn alone."""
    words = TfidfVectorizer(strip_accents="unicode", ngram_range=(1, 2), min_df=2)
    parts = TfidfVectorizer(strip_accents="unicode", analyzer="char_wb", ngram_range=(2, 5), min_df=2)
    table = products(ROWS)
    return make_pipeline(make_union(words, parts), LinearSVC(C=0.7)).fit(table["title"], table["category"])


app, model = Flask(__name__), fit()


@app.get("/ready")
def ready() -> str:
    """Answer that the server is ready."""
    return "yes"


@app.post("/v1/categorize")
def categorize() -> Response:
    """The category of each product."""
    titles = [product["title"] for product in request.get_json()["products"]]
    return jsonify(categories=model.predict(titles).tolist())  # type: ignore[attr-defined]
