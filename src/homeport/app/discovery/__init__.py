"""How services find each other: Cloud Map as ECS uses it, and what Service Connect's names lead to."""
