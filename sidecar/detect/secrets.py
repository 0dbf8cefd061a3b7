"""Credentials whose form their vendors document, so that the value alone says what it is.

Most vendors put a prefix before their tokens for exactly this purpose. Keys from documentation (``…EXAMPLE``) are found
like any other, since nothing tells them from real ones; placeholders (``xxxxx``, ``your-key-here``) are not.
"""

import base64
import json
import re
from typing import Final

from sidecar.detect.kinds import AFTER, BEFORE, PLACEHOLDER, Candidate, Detector, is_filled_in

_AZ: Final = "[0-9A-Za-z]"
_WORD: Final = "[0-9A-Za-z_-]"
_BASE64: Final = "[0-9A-Za-z+/=]"
_IDENT: Final = "[0-9A-Za-z_]"
_DASHED: Final = "[0-9A-Za-z-]"
_DOTTED: Final = "[0-9A-Za-z_.-]"
_PATH: Final = "[0-9A-Za-z+/]"
_HOOK: Final = "[0-9A-Za-z_/-]"
_HEX: Final = "[0-9a-f]"
_HEX_ANY: Final = "[0-9a-fA-F]"


def _prefixed(kind: str, about: str, head: str, body: str, least: int, most: int, shown: int) -> Detector:
    """A token that its own prefix makes certain: ``head``, then ``least`` to ``most`` characters of class ``body``."""
    pattern = f"{BEFORE}({head}{body}{{{least},{most}}})"
    gate = f"{head}{body}{{{least}}}"
    return Detector(f"secrets.{kind}", about, gate, pattern, 0.99, shown, tail=most, check=is_filled_in)


def _alone(kind: str, about: str, value: str, confidence: float, shown: int) -> Detector:
    """A token whose form is telling only where it stands alone."""
    pattern = f"{BEFORE}({value}){AFTER}"
    return Detector(f"secrets.{kind}", about, value + AFTER, pattern, confidence, shown, check=is_filled_in)


def _is_jwt(candidate: Candidate) -> bool:
    """The header of a JSON Web Token is an object that names an algorithm (RFC 7515 4.1.1, RFC 7516 4.1.2)."""
    head = candidate.value.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and ("alg" in header or "enc" in header)


def _is_private_key(candidate: Candidate) -> bool:
    """A key has a body; source code that only names header and footer has none."""
    body = candidate.value.split("-----")[2]
    return bool(re.search(r"[0-9A-Za-z+/=]{40}", body)) and not PLACEHOLDER.search(body[:80])


def _is_discord_token(candidate: Candidate) -> bool:
    """The first part of a bot's token is its numeric user id in base64."""
    head = candidate.value.partition(".")[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).isdigit()
    except ValueError:
        return False


_KEY_HEADER: Final = r"-----BEGIN[ A-Z0-9_-]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_FOOTER: Final = r"-----END[ A-Z0-9_-]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY: Final = rf"{_KEY_HEADER}(?:(?:[^-{{}}<>$;]|-[^-])*?{_KEY_FOOTER}|[A-Za-z0-9+/=\s\\]+)"
_KEY_BYTES_MAX: Final = 16_384
"""The longest private key in use (RSA of 16,384 bits) takes 12,700 characters."""
_JWT_BYTES_MAX: Final = 16_384
"""Web servers refuse longer headers, so that no token that anyone sends is longer."""
_SERVICE_ACCOUNT: Final = rf"private_key_id\W{{1,12}}{_HEX}{{40}}\W{{1,16}}private_key\W{{1,12}}"

_TEAMS: Final = r"[0-9a-z-]{1,60}\.webhook\.office\.com/webhookb2/[0-9a-z@-]{73}/IncomingWebhook/[0-9a-z]{32}/[0-9a-z-]{36}"

DETECTORS: Final[tuple[Detector, ...]] = (
    _alone("aws-key", "AWS access key id; AROA, AIDA and such open nothing", "A(?:KI|SI|BI|CC)A[0-9A-Z]{16}", 0.99, 4),
    _prefixed("aws-bedrock-key", "Amazon Bedrock API key, long-term", "ABSKQmVkcm9ja0FQSUtleS", _BASE64, 60, 200, 4),
    _prefixed("aws-bedrock-key", "the short-term one", "bedrock-api-key-YmVkcm9jay", _BASE64, 20, 900, 16),
    _prefixed("github-token", "GitHub personal, OAuth, app or refresh token", "gh[pousr]_", _AZ, 36, 255, 4),
    _prefixed("github-token", "the fine-grained one", "github_pat_", _IDENT, 70, 255, 11),
    _prefixed("gitlab-token", "GitLab personal, deploy, runner or job token", "gl(?:pa|d|r|cb|pt|f)t-", _DOTTED, 20, 300, 3),
    _prefixed("gitlab-token", "those of agents, mail, SCIM, features", "gl(?:imt|agent|soat|ffct|wt)-", _WORD, 20, 300, 3),
    _prefixed("gitlab-token", "the secret of an OAuth application", "gloas-", _WORD, 40, 300, 6),
    _alone("gitlab-token", "the old registration token of runners", "GR1348941[0-9A-Za-z_-]{20}", 0.99, 9),
    _prefixed("slack-token", "Slack token of a bot, user or workspace", "xox[abeprs]-[0-9-]{2}", _DASHED, 12, 250, 5),
    _prefixed("slack-token", "the configuration token that expires", r"xoxe\.xox[bp]-", _DASHED, 10, 250, 5),
    _prefixed("slack-token", "the one of an app", "xapp-", _DASHED, 20, 250, 5),
    _prefixed("slack-webhook", "address at which anyone can post", r"hooks\.slack\.com/[a-z]{7,9}/", _PATH, 30, 90, 15),
    _prefixed("stripe-key", "Stripe secret or restricted key", "[rs]k_(?:live|test|prod)_", _AZ, 10, 255, 3),
    _prefixed("stripe-key", "what signs Stripe's webhooks", "whsec_", _BASE64, 32, 64, 6),
    _alone("google-api-key", "Google API key (maps, Gemini, Firebase)", "AIza[0-9A-Za-z_-]{35}", 0.99, 4),
    _prefixed("google-oauth", "Google OAuth client secret", "GOCSPX-", _WORD, 28, 28, 7),
    _prefixed("google-oauth", "Google OAuth access token", r"ya29\.", _DOTTED, 30, 500, 5),
    _alone("google-oauth", "Google OAuth refresh token", "1//0[0-9a-z][0-9A-Za-z_-]{38,150}", 0.99, 4),
    _prefixed("openai-key", "OpenAI key of a project or service", "sk-(?:proj|svcacct|admin)-", _WORD, 20, 255, 3),
    _alone("openai-key", "the older one, also issued by compatible services", "sk-[0-9A-Za-z]{32,64}", 0.95, 3),
    _prefixed("anthropic-key", "Anthropic API or admin key, OAuth token", "sk-ant-[a-z]{3,5}[0-9]{2}-", _WORD, 24, 255, 7),
    _prefixed("npm-token", "npm access token", "npm_", _AZ, 36, 36, 4),
    _prefixed("pypi-token", "PyPI upload token, a macaroon", "pypi-Ag[EI]", _WORD, 50, 500, 5),
    _alone("twilio-key", "Twilio API key", "SK[0-9a-f]{32}", 0.95, 2),
    _alone("sendgrid-key", "SendGrid API key", r"SG\.[0-9A-Za-z_-]{20,24}\.[0-9A-Za-z_-]{39,50}", 0.99, 3),
    _alone("mailgun-key", "Mailgun private or signing key", "[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}", 0.95, 0),
    _alone("telegram-token", "token of a Telegram bot, with its number", "[0-9]{5,16}:A[0-9A-Za-z_-]{34}", 0.99, 0),
    _prefixed("discord-webhook", "address at which anyone can post", r"discord(?:app)?\.com/api/webhooks/", _HOOK, 60, 99, 11),
    _alone("azure-client-secret", "client secret of Entra ID", "[0-9A-Za-z_~.-]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}", 0.99, 0),
    _prefixed("vault-token", "HashiCorp Vault service, batch or recovery token", r"hv[sbr]\.", _WORD, 24, 300, 4),
    _prefixed("digitalocean-token", "DigitalOcean personal, OAuth or refresh token", "do[opr]_v1_", _HEX, 64, 64, 7),
    _prefixed("shopify-token", "Shopify token or shared secret", "shp(?:at|ca|pa|ss|ua|tka)_", _HEX_ANY, 32, 32, 6),
    _alone("huggingface-token", "Hugging Face user token", "hf_[0-9A-Za-z]{34,40}", 0.99, 3),
    _prefixed("huggingface-token", "Hugging Face organization token", "api_org_", _AZ, 34, 40, 8),
    _prefixed("atlassian-token", "Atlassian account token", "ATATT3", "[0-9A-Za-z_=-]", 160, 250, 6),
    _prefixed("grafana-token", "Grafana service account token", "glsa_", _IDENT, 41, 41, 5),
    _prefixed("grafana-token", "Grafana Cloud token", "glc_eyJ", _BASE64, 32, 400, 4),
    _alone("databricks-token", "Databricks personal token", "dapi[0-9a-f]{32}(?:-[0-9])?", 0.99, 4),
    _prefixed("linear-key", "Linear API key", "lin_(?:api|oauth)_", _AZ, 32, 64, 4),
    _prefixed("notion-token", "Notion integration token", "ntn_[0-9]{8,14}", _AZ, 32, 40, 4),
    _prefixed("postman-key", "Postman API key", "PMAK-[0-9a-f]{24}-", _HEX, 34, 34, 5),
    _prefixed("pulumi-token", "Pulumi access token", "pul-", _HEX, 40, 40, 4),
    _prefixed("doppler-token", "Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", _DOTTED, 40, 60, 3),
    _prefixed("planetscale-token", "PlanetScale token or password", "pscale_[a-z]{2,5}_", "[0-9A-Za-z=._-]", 32, 64, 7),
    _prefixed("newrelic-key", "New Relic user, ingest or browser key", "NR(?:AK|II|JS|AA)-", _WORD, 19, 64, 5),
    _prefixed("square-token", "Square access token or secret", "sq0(?:atp|csp|idp)-", _WORD, 22, 50, 7),
    _prefixed("dynatrace-token", "Dynatrace token", r"dt0[a-z][0-9]{2}\.[0-9A-Za-z]{24}\.", _AZ, 64, 64, 4),
    _prefixed("sentry-token", "Sentry user token", "sntryu_", _HEX, 64, 64, 7),
    _prefixed("sentry-token", "Sentry organization token", "sntrys_eyJ", "[0-9A-Za-z+/=_]", 60, 400, 7),
    _prefixed("rubygems-key", "RubyGems API key", "rubygems_", _HEX, 48, 48, 9),
    _prefixed("terraform-token", "HCP Terraform token", r"[0-9A-Za-z]{14}\.atlasv1\.", "[0-9A-Za-z_=-]", 60, 70, 0),
    _prefixed("flyio-token", "Fly.io token", "(?:fo1_|fm[12][ar]?_)", "[0-9A-Za-z+/=_-]", 43, 900, 3),
    _prefixed("cloudflare-key", "Cloudflare origin certificate key", r"v1\.0-[0-9a-f]{24}-", _HEX, 146, 146, 5),
    _prefixed("airtable-token", "Airtable personal token", r"pat[0-9A-Za-z]{14}\.", _HEX, 64, 64, 3),
    _prefixed("figma-token", "Figma personal token", "fig[dou][rh]?_", _WORD, 40, 64, 4),
    _prefixed("docker-token", "Docker Hub token", "dckr_[op]at_", _WORD, 27, 64, 9),
    _prefixed("supabase-key", "Supabase access token", "sbp_", _HEX, 40, 40, 4),
    _prefixed("supabase-key", "secret key of a Supabase project", "sb_secret_", _WORD, 30, 60, 3),
    _alone("ai-key", "key of Groq, Perplexity, Replicate, xAI", "(?:gsk_|pplx-|r8_|xai-)[0-9A-Za-z]{37,100}", 0.99, 3),
    _prefixed("tailscale-key", "Tailscale key", "tskey-[a-z]{3,9}-", _DASHED, 20, 100, 5),
    _prefixed("onepassword-token", "1Password service account token", "ops_eyJ", _BASE64, 200, 900, 4),
    _alone("onepassword-token", "1Password secret key", "A3-[0-9A-Z]{6}-(?:[0-9A-Z]{5,6}-){4,5}[0-9A-Z]{5}", 0.99, 3),
    _alone("onepassword-token", "the older form", "A3-[0-9A-Z]{6}-[0-9A-Z]{11}(?:-[0-9A-Z]{5}){3}", 0.99, 3),
    _prefixed("jfrog-token", "JFrog API key or reference token", "(?:AKCp|cmVmdGtu)", _AZ, 56, 69, 4),
    _prefixed("shippo-token", "Shippo token", "shippo_(?:live|test)_", _HEX, 40, 40, 7),
    _alone("easypost-key", "EasyPost API key", "EZ[AT]K[0-9A-Za-z]{54}", 0.99, 4),
    _prefixed("harness-token", "Harness token", r"[ps]at\.[0-9A-Za-z_-]{22}\.[0-9a-f]{24}\.", _AZ, 20, 20, 3),
    _prefixed("sonar-token", "SonarQube token", "sq[apu]_", _HEX, 40, 40, 4),
    _prefixed("openshift-token", "OpenShift token", "sha256~", _WORD, 43, 43, 7),
    _prefixed("heroku-key", "Heroku API key", "HRKU-AA", _WORD, 40, 70, 7),
    _prefixed("brevo-key", "Brevo API key", "xkeysib-[0-9a-f]{64}-", _AZ, 16, 16, 8),
    _prefixed("typeform-token", "Typeform token", "tfp_", _DOTTED, 44, 70, 4),
    _prefixed("contentful-token", "Contentful token", "CFPAT-", _WORD, 43, 43, 6),
    _prefixed("frameio-token", "Frame.io token", "fio-u-", _WORD, 64, 64, 6),
    _prefixed("duffel-token", "Duffel token", "duffel_(?:live|test)_", _WORD, 43, 43, 7),
    _prefixed("clojars-token", "Clojars token", "CLOJARS_", _AZ, 60, 60, 8),
    _prefixed("prefect-token", "Prefect token", "pn[ub]_", _AZ, 36, 36, 4),
    _prefixed("readme-token", "ReadMe token", "rdme_", _AZ, 70, 70, 5),
    _prefixed("sourcegraph-token", "Sourcegraph token", "sgp_(?:[0-9a-zA-Z]{16}_)?", _HEX, 40, 40, 4),
    _prefixed("flutterwave-key", "Flutterwave secret key", "FLWSECK(?:_TEST)?-", _HEX, 12, 40, 8),
    _prefixed("plaid-token", "Plaid access token", "access-(?:sandbox|development|production)-", _DASHED, 36, 36, 7),
    _alone("teams-webhook", "address at which anyone can post", _TEAMS, 0.99, 0),
    _prefixed("age-key", "age secret key", "AGE-SECRET-KEY-1", "[0-9A-Z]", 58, 58, 16),
    _alone("alibaba-key", "Alibaba Cloud access key id", "LTAI[0-9A-Za-z]{16,24}", 0.95, 4),
    _alone("mailchimp-key", "Mailchimp API key", "[0-9a-f]{32}-us[0-9]{1,2}", 0.99, 0),
    _alone("facebook-token", "Meta access token", "EAA[MC][0-9A-Za-z]{80,255}", 0.95, 4),
    Detector(
        "secrets.gcp-service-account",
        "private key in a Google service account's file, known by the key id before it",
        gate=rf"{_SERVICE_ACCOUNT}{_KEY_HEADER}",
        pattern=rf"{_SERVICE_ACCOUNT}({_KEY})",
        confidence=0.99,
        tail=_KEY_BYTES_MAX,
        check=_is_private_key,
    ),
    Detector(
        "secrets.private-key",
        "private key in PEM or OpenPGP armour, also encrypted or cut off; not a header without body, not a public key",
        gate=_KEY_HEADER,
        pattern=f"({_KEY})",
        confidence=0.99,
        tail=_KEY_BYTES_MAX,
        check=_is_private_key,
    ),
    Detector(
        "secrets.jwt",
        "JSON Web Token, signed or encrypted; its header must name an algorithm",
        gate=rf"eyJ{_WORD}{{12,}}\.{_WORD}{{8}}",
        pattern=rf"(eyJ{_WORD}{{12,}}(?:\.{_WORD}*){{2,4}})",
        confidence=0.95,
        lead=4096,
        tail=_JWT_BYTES_MAX,
        check=_is_jwt,
    ),
    Detector(
        "secrets.discord-token",
        "token of a Discord bot",
        gate=rf"[MNO]{_WORD}{{23,27}}\.{_WORD}{{6}}\.{_WORD}{{27}}",
        pattern=rf"{BEFORE}([MNO]{_WORD}{{23,27}}\.{_WORD}{{6}}\.{_WORD}{{27,40}})",
        confidence=0.99,
        check=_is_discord_token,
    ),
    Detector(
        "secrets.azure-key",
        "account key of Azure storage, Cosmos DB, Service Bus or Event Hubs in a connection string",
        gate=r"(?i)(?:Account|SharedAccess)Key=[0-9A-Za-z+/]{40}",
        pattern=r"(?i)(?:Account|SharedAccess)Key=([0-9A-Za-z+/]{40,90}={1,2})",
        confidence=0.99,
        check=is_filled_in,
    ),
)
