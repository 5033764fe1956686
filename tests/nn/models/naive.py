"""Formulas that several models share, node by node."""

import torch
import torch.nn.functional as F


def naive_contrast(a, b, rows, tau):
    """InfoNCE between two views of some rows, by its definition."""
    terms = []
    for position, i in enumerate(rows):
        cosines = torch.stack([F.cosine_similarity(a[i], b[j], dim=0) for j in rows])
        terms.append(-(cosines / tau).log_softmax(0)[position])
    return sum(terms) / len(terms)


def dense_graph(model, edge_index):
    """The normalised matrix of all nodes by its definition."""
    num_users = model.embedding.num_users
    num_nodes = num_users + model.embedding.num_items
    matrix = torch.zeros(num_nodes, num_nodes)
    for user, item in edge_index.t().tolist():
        matrix[user, num_users + item] = matrix[num_users + item, user] = 1
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale
