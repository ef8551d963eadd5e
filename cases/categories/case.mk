# The Makefile's settings for this case.
NOTEBOOK := $(FOLDER)treinamento.ipynb
RUN_CANDIDATES ?= linear-svm-words-and-parts$(COMMA)majority
