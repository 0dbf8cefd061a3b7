"""Credentials of services for models: hosting, search, speech, traces, vectors."""

from typing import Final

from sidecar.detect.kinds import Detector
from sidecar.detect.secrets.shapes import AZ, DASHED, HEX, LOWER, UUID, WORD, alone, near, prefixed

DETECTORS: Final[tuple[Detector, ...]] = (
    prefixed("openai-key", "OpenAI key of a project or service", "sk-(?:proj|svcacct|admin)-", WORD, 20, 255, 3),
    alone("openai-key", "the older one, also issued by compatible services", "sk-[0-9A-Za-z]{32,64}", 0.95, 3),
    prefixed("anthropic-key", "Anthropic API or admin key, OAuth token", "sk-ant-[a-z]{3,5}[0-9]{2}-", WORD, 24, 255, 7),
    alone("ai-key", "key of Groq, Perplexity, Replicate, xAI", "(?:gsk_|pplx-|r8_|xai-)[0-9A-Za-z]{37,100}", 0.99, 3),
    alone("huggingface-token", "Hugging Face user token", "hf_[0-9A-Za-z]{34,40}", 0.99, 3),
    prefixed("huggingface-token", "Hugging Face organization token", "api_org_", AZ, 34, 40, 8),
    prefixed("openrouter-key", "OpenRouter key", "sk-or-v1-", HEX, 64, 64, 6),
    prefixed("langsmith-key", "LangSmith personal or service key", "lsv2_(?:pt|sk)_[0-9a-f]{32}_", HEX, 10, 10, 5),
    alone("langfuse-key", "Langfuse secret key", f"sk-lf-{UUID}", 0.99, 6),
    prefixed("elevenlabs-key", "ElevenLabs key", "sk_", HEX, 48, 48, 3),
    prefixed("pinecone-key", "Pinecone key", "pcsk_[0-9A-Za-z]{5,6}_", AZ, 50, 70, 5),
    prefixed("tavily-key", "Tavily key", "tvly-(?:dev-|prod-)?", DASHED, 32, 60, 5),
    prefixed("firecrawl-key", "Firecrawl key", "fc-", HEX, 32, 32, 3),
    prefixed("jina-key", "Jina key", "jina_", WORD, 60, 60, 5),
    prefixed("nvidia-key", "NVIDIA NIM or NGC key", "nvapi-", WORD, 60, 70, 6),
    prefixed("cerebras-key", "Cerebras key", "csk-", LOWER, 48, 48, 4),
    alone("fireworks-key", "Fireworks key", "fw_[0-9A-Za-z]{22,24}", 0.95, 3),
    prefixed("together-key", "Together key", "tgp_v1_", WORD, 43, 43, 7),
    near("together-key", "the older one", "together", "[0-9a-f]{64}"),
    alone("voyage-key", "Voyage key", "pa-[0-9A-Za-z_-]{43}", 0.95, 3),
    prefixed("e2b-key", "E2B key", "e2b_", HEX, 40, 40, 4),
    prefixed("browserbase-key", "Browserbase key", "bb_(?:live|test)_", WORD, 20, 40, 3),
    prefixed("llamacloud-key", "LlamaCloud key", "llx-", AZ, 48, 48, 4),
    prefixed("runpod-key", "RunPod key", "rpa_", AZ, 40, 50, 4),
    prefixed("wandb-key", "Weights & Biases key", "wandb_v1_", WORD, 40, 110, 6),
    near("wandb-key", "the older one", r"wandb|weights.{1,5}biases", "[0-9a-f]{40}"),
    prefixed("friendli-token", "Friendli token", "flp_", AZ, 40, 60, 4),
    prefixed("apify-token", "Apify token", "apify_api_", AZ, 30, 46, 10),
    prefixed("helicone-key", "Helicone key", "sk-helicone-", DASHED, 20, 60, 7),
    near("modal-token", "id or secret of a Modal token", "modal", "a[ks]-[0-9A-Za-z]{22}"),
    near("cohere-key", "Cohere key", "cohere|co_api_key", "[0-9A-Za-z]{40}"),
    near("mistral-key", "Mistral key", "mistral", "[0-9A-Za-z]{32}"),
    near("deepgram-key", "Deepgram key", "deepgram", "[0-9a-f]{40}"),
    near("assemblyai-key", "AssemblyAI key", "assembly_?ai", "[0-9a-f]{32}"),
    near("baseten-key", "Baseten key", "baseten", r"[0-9A-Za-z]{8}\.[0-9A-Za-z]{32}"),
    near("privateai-key", "Private AI key", "private_?ai", "[0-9a-z]{32}"),
    near("exa-key", "Exa key", r"\bexa(?:_?api|\.ai|_?key|_?search)", UUID, 0.9),
    near("brave-search-key", "Brave Search key", "brave", "BSA[0-9A-Za-z_-]{20,28}"),
    near("serpapi-key", "SerpApi key", "serp_?api", "[0-9a-f]{64}"),
)
