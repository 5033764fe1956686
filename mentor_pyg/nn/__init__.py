"""Layers, losses and models. Only the models take ``HeteroData``; the rest take tensors."""

from mentor_pyg.sparse import edge_softmax, weighted_sum

from .adversarial import Adversary, Critic, gradient_penalty, gumbel_rows
from .attention import ModalityAttention
from .clustering import Prototypes, kmeans
from .contrast import info_nce, joint_info_nce
from .conv import LightGCNConv, MMGCNConv, NGCFConv, NoisyLightGCNConv, light_gcn_norm
from .embedding import Nodes, UserItemEmbedding
from .encoder import ModalityEncoder, Propagation, modality_encoders
from .fusion import GlobalFusion, UserFusion
from .gathering import ContentGathering
from .graph import sample_edges, user_item_adjacency
from .hypergraph import (
    ContentHypergraph,
    LowRankHypergraph,
    item_hypergraph_hops,
    user_hypergraph_hops,
)
from .initialization import draw_weight, reset_linear, spectral_embedding
from .latent_graph import LatentGraph
from .loss import (
    Moments,
    alignment_levels,
    batch_bpr,
    batch_info_nce,
    bpr_loss,
    content_moments,
    feature_masking_loss,
    gaussian_distance,
    moments,
    score_triples,
    sum_of_squares,
    triple_norm,
    weighted,
)
from .multimodal import Encoding, MultimodalEncoder
from .neighbors import NeighborGraph
from .projection import ContentProjection, ModalityProjections
from .pruning import EdgeDropout, MaskedGraph, PrunedGraph
from .ranking import BPRLoss, DirectAULoss, RankingLoss, SoftmaxLoss
from .self_supervision import Alignment, FeatureMasking, GraphContrast, ModalityContrast
from .semantics import user_semantics
from .softmax import softmax_loss
from .spectrum import SpectrumFusion

__all__ = [
    "Adversary",
    "Alignment",
    "BPRLoss",
    "ContentGathering",
    "ContentHypergraph",
    "ContentProjection",
    "Critic",
    "DirectAULoss",
    "EdgeDropout",
    "Encoding",
    "FeatureMasking",
    "GlobalFusion",
    "GraphContrast",
    "LatentGraph",
    "LightGCNConv",
    "LowRankHypergraph",
    "MMGCNConv",
    "MaskedGraph",
    "ModalityAttention",
    "ModalityContrast",
    "ModalityEncoder",
    "ModalityProjections",
    "Moments",
    "MultimodalEncoder",
    "NGCFConv",
    "NeighborGraph",
    "Nodes",
    "NoisyLightGCNConv",
    "Propagation",
    "Prototypes",
    "PrunedGraph",
    "RankingLoss",
    "SoftmaxLoss",
    "SpectrumFusion",
    "UserFusion",
    "UserItemEmbedding",
    "alignment_levels",
    "batch_bpr",
    "batch_info_nce",
    "bpr_loss",
    "content_moments",
    "draw_weight",
    "edge_softmax",
    "feature_masking_loss",
    "gaussian_distance",
    "gradient_penalty",
    "gumbel_rows",
    "info_nce",
    "item_hypergraph_hops",
    "joint_info_nce",
    "kmeans",
    "light_gcn_norm",
    "modality_encoders",
    "moments",
    "reset_linear",
    "sample_edges",
    "score_triples",
    "softmax_loss",
    "spectral_embedding",
    "sum_of_squares",
    "triple_norm",
    "user_hypergraph_hops",
    "user_item_adjacency",
    "user_semantics",
    "weighted",
    "weighted_sum",
]
