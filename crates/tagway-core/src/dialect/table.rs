//! The table of providers that speak OpenAI's protocol: name → base URL, key variable, quirks. Adding one is
//! adding a line. Knows nothing of requests or sockets.

/// A provider tagway can call: a line of the table.
#[derive(Clone, Copy)]
pub struct Provider(&'static ProviderEntry);

impl std::ops::Deref for Provider {
    type Target = ProviderEntry;
    fn deref(&self) -> &ProviderEntry {
        self.0
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// What tagway knows of a provider.
pub struct ProviderEntry {
    /// The prefix in `provider/model`, LiteLLM's name.
    pub name: &'static str,
    /// Base URL of its API; empty when the config must give `api_base`.
    pub base_url: &'static str,
    /// Environment variable holding a base URL that goes before `base_url`, if LiteLLM reads one.
    pub base_var: &'static str,
    /// Environment variable that holds its key when the config gives none.
    pub key_var: &'static str,
    /// Whether a call without a key is normal (local servers).
    pub keyless: bool,
    /// Whether it takes `stream_options.include_usage`.
    pub stream_options: bool,
}

/// What a `litellm_params.model` resolved to.
#[derive(Debug)]
pub struct Resolved {
    /// The provider.
    pub provider: Provider,
    /// The model name it knows.
    pub model: String,
}

const fn compatible(
    name: &'static str,
    base_url: &'static str,
    base_var: &'static str,
    key_var: &'static str,
) -> ProviderEntry {
    ProviderEntry { name, base_url, base_var, key_var, keyless: false, stream_options: true }
}

const fn local(
    name: &'static str,
    base_url: &'static str,
    base_var: &'static str,
    key_var: &'static str,
) -> ProviderEntry {
    ProviderEntry { name, base_url, base_var, key_var, keyless: true, stream_options: true }
}

/// Every provider, sorted by nothing but habit: OpenAI first. Base URLs are the providers' own published ones.
static TABLE: &[ProviderEntry] = &[
    compatible("openai", "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    compatible("openai_like", "", "OPENAI_LIKE_API_BASE", "OPENAI_LIKE_API_KEY"),
    compatible("custom_openai", "", "OPENAI_LIKE_API_BASE", "OPENAI_LIKE_API_KEY"),
    compatible("text-completion-openai", "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    compatible("groq", "https://api.groq.com/openai/v1", "GROQ_API_BASE", "GROQ_API_KEY"),
    ProviderEntry {
        // Mistral reports usage in the last chunk by itself and refuses fields it does not know.
        stream_options: false,
        ..compatible("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_BASE", "MISTRAL_API_KEY")
    },
    ProviderEntry {
        stream_options: false,
        ..compatible(
            "codestral",
            "https://codestral.mistral.ai/v1",
            "CODESTRAL_API_BASE",
            "CODESTRAL_API_KEY",
        )
    },
    compatible("deepseek", "https://api.deepseek.com/beta", "DEEPSEEK_API_BASE", "DEEPSEEK_API_KEY"),
    compatible("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_BASE", "OPENROUTER_API_KEY"),
    compatible("together_ai", "https://api.together.xyz/v1", "TOGETHERAI_API_BASE", "TOGETHERAI_API_KEY"),
    compatible(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_BASE",
        "FIREWORKS_API_KEY",
    ),
    compatible("xai", "https://api.x.ai/v1", "XAI_API_BASE", "XAI_API_KEY"),
    compatible("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_BASE", "PERPLEXITYAI_API_KEY"),
    compatible("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_BASE", "DEEPINFRA_API_KEY"),
    compatible("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_BASE", "CEREBRAS_API_KEY"),
    compatible("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_BASE", "SAMBANOVA_API_KEY"),
    compatible(
        "nvidia_nim",
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_NIM_API_BASE",
        "NVIDIA_NIM_API_KEY",
    ),
    compatible("hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_BASE", "HYPERBOLIC_API_KEY"),
    compatible("novita", "https://api.novita.ai/v3/openai", "NOVITA_API_BASE", "NOVITA_API_KEY"),
    compatible("nebius", "https://api.studio.nebius.ai/v1", "NEBIUS_API_BASE", "NEBIUS_API_KEY"),
    compatible("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_BASE", "MOONSHOT_API_KEY"),
    compatible(
        "dashscope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_BASE",
        "DASHSCOPE_API_KEY",
    ),
    compatible("volcengine", "https://ark.cn-beijing.volces.com/api/v3", "ARK_API_BASE", "ARK_API_KEY"),
    compatible("github", "https://models.inference.ai.azure.com", "GITHUB_API_BASE", "GITHUB_API_KEY"),
    compatible("meta_llama", "https://api.llama.com/compat/v1", "LLAMA_API_BASE", "LLAMA_API_KEY"),
    compatible(
        "featherless_ai",
        "https://api.featherless.ai/v1",
        "FEATHERLESS_API_BASE",
        "FEATHERLESS_AI_API_KEY",
    ),
    compatible("inception", "https://api.inceptionlabs.ai/v1", "INCEPTION_API_BASE", "INCEPTION_API_KEY"),
    compatible("lambda_ai", "https://api.lambda.ai/v1", "LAMBDA_API_BASE", "LAMBDA_API_KEY"),
    compatible("nscale", "https://inference.api.nscale.com/v1", "NSCALE_API_BASE", "NSCALE_API_KEY"),
    compatible("aiml", "https://api.aimlapi.com/v1", "AIML_API_BASE", "AIML_API_KEY"),
    compatible("litellm_proxy", "", "LITELLM_PROXY_API_BASE", "LITELLM_PROXY_API_KEY"),
    local("ollama", "http://localhost:11434/v1", "OLLAMA_API_BASE", "OLLAMA_API_KEY"),
    local("ollama_chat", "http://localhost:11434/v1", "OLLAMA_API_BASE", "OLLAMA_API_KEY"),
    local("hosted_vllm", "", "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"),
    local("vllm", "", "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"),
    local("lm_studio", "http://localhost:1234/v1", "LM_STUDIO_API_BASE", "LM_STUDIO_API_KEY"),
    local("llamafile", "http://127.0.0.1:8080/v1", "LLAMAFILE_API_BASE", "LLAMAFILE_API_KEY"),
    local(
        "docker_model_runner",
        "http://localhost:12434/engines/llama.cpp/v1",
        "DOCKER_MODEL_RUNNER_API_BASE",
        "DOCKER_MODEL_RUNNER_API_KEY",
    ),
    local("xinference", "http://127.0.0.1:9997/v1", "XINFERENCE_API_BASE", "XINFERENCE_API_KEY"),
];

/// Bare model names (no `provider/`) that belong to a provider, by how they begin.
static BARE: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("ft:gpt-", "openai"),
    ("davinci-", "openai"),
    ("babbage-", "openai"),
    ("deepseek-", "deepseek"),
    ("mistral-", "mistral"),
    ("codestral-", "codestral"),
    ("grok-", "xai"),
];

impl Provider {
    /// The provider called `name`, if tagway can speak to it.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.name == name).map(Self)
    }

    /// Every provider, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }
}

/// Finds the provider of a `litellm_params.model`: `custom_llm_provider` first, then the `provider/` prefix,
/// then a bare known name. `None` when no provider is known.
pub fn resolve(model: &str, custom_provider: Option<&str>) -> Option<Resolved> {
    if let Some(name) = custom_provider {
        let provider = Provider::named(name)?;
        let model = model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        return Some(Resolved { provider, model: model.to_owned() });
    }
    if let Some((prefix, rest)) = model.split_once('/')
        && let Some(provider) = Provider::named(prefix)
    {
        return Some(Resolved { provider, model: rest.to_owned() });
    }
    let (_, name) = BARE.iter().find(|(start, _)| model.starts_with(start))?;
    Some(Resolved { provider: Provider::named(name)?, model: model.to_owned() })
}
