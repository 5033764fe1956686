"""Formulas that several models share, with dense matrices or node by node."""

import torch
import torch.nn.functional as F


def naive_contrast(a, b, rows, tau):
    """InfoNCE between two views of some rows, by its definition."""
    terms = []
    for position, i in enumerate(rows):
        cosines = torch.stack([F.cosine_similarity(a[i], b[j], dim=0) for j in rows])
        terms.append(-(cosines / tau).log_softmax(0)[position])
    return sum(terms) / len(terms)


def dense_graph(edge_index, num_users=60, num_items=40):
    """The normalised matrix [U, I] of pairs by its definition."""
    matrix = torch.zeros(num_users, num_items)
    for user, item in edge_index.t().tolist():
        matrix[user, item] = 1
    by_user, by_item = (matrix.sum(dim).clamp(min=1).rsqrt() for dim in (1, 0))
    return by_user[:, None] * matrix * by_item


def dense_layers(user, item, matrices):
    """Users and items after each hop, one matrix [U, I] a hop."""
    layers = [(user, item)]
    for matrix in matrices:
        user, item = layers[-1]
        layers.append((matrix @ item, matrix.t() @ user))
    return layers


def dense_mean(user, item, matrices):
    """The mean of users and of items over all layers."""
    users, items = zip(*dense_layers(user, item, matrices))
    return sum(users) / len(users), sum(items) / len(items)


def neighbor_lists(edge_index, num_users=60, num_items=40):
    """The items of each user, and the users of each item."""
    of_users, of_items = [[] for _ in range(num_users)], [[] for _ in range(num_items)]
    for user, item in edge_index.t().tolist():
        of_users[user].append(item)
        of_items[item].append(user)
    return of_users, of_items


def naive_hop(user, item, edge_index):
    """A hop of LightGCN of users and items, node by node."""
    lists = neighbor_lists(edge_index, len(user), len(item))
    out = []
    for near, far, x in ((lists[0], lists[1], item), (lists[1], lists[0], user)):
        rows = []
        for others in near:
            parts = [x[n] / (len(others) * len(far[n])) ** 0.5 for n in others]
            rows.append(sum(parts, torch.zeros(x.size(1))))
        out.append(torch.stack(rows))
    return out
