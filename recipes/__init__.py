"""Recipes (installed as s3prl_sb.recipes)."""
