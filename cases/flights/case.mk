# The Makefile's settings for this case.
NOTEBOOK := $(FOLDER)notebook/voos.ipynb
NOTEBOOK_PYTHON := $(SPARK)/python
notebook: $(SPARK_READY)
RUN_CANDIDATES ?= baseline$(COMMA)xgboost-depth-4
