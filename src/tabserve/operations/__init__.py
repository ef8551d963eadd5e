"""Operations on saved models: check, compare, detect drift, move the threshold."""
