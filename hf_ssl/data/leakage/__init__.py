"""Nothing of validation or test is trained on: exact and near copies are found."""
