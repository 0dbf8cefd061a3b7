"""Credentials of code hosting, builds, packages, releases and stores of secrets."""

from typing import Final

from sidecar.detect.kinds import Candidate, Detector, is_filled_in
from sidecar.detect.secrets.shapes import (
    AZ,
    BASE64,
    DOTTED,
    HEX,
    HEX_ANY,
    IDENT,
    LOWER,
    UPPER,
    UUID,
    WORD,
    alone,
    near,
    prefixed,
)


def _is_no_digest(candidate: Candidate) -> bool:
    """Builds name icons by their digest."""
    return is_filled_in(candidate) and candidate.value[4:].strip("0123456789abcdef") != ""


DETECTORS: Final[tuple[Detector, ...]] = (
    prefixed("github-token", "GitHub personal, OAuth, app or refresh token", "gh[pousr]_", AZ, 36, 255, 4),
    prefixed("github-token", "the fine-grained one", "github_pat_", IDENT, 70, 255, 11),
    prefixed("gitlab-token", "GitLab personal, deploy, runner or job token", "gl(?:pa|d|r|cb|pt|f)t-", DOTTED, 20, 300, 3),
    prefixed("gitlab-token", "those of agents, mail, SCIM, features", "gl(?:imt|agent|soat|ffct|wt)-", WORD, 20, 300, 3),
    prefixed("gitlab-token", "the secret of an OAuth application", "gloas-", WORD, 40, 300, 6),
    alone("gitlab-token", "the old registration token of runners", "GR1348941[0-9A-Za-z_-]{20}", 0.99, 9),
    prefixed("gitlab-session", "session of a person signed in to GitLab", "_gitlab_session=", LOWER, 32, 32, 16),
    prefixed("bitbucket-token", "Bitbucket app password", "ATBB", AZ, 24, 36, 4),
    prefixed("bitbucket-token", "Bitbucket repository, project or workspace token", "ATCTT3xFf", "[0-9A-Za-z=_-]", 60, 300, 6),
    near(
        "bitbucket-oauth",
        "key or secret of a Bitbucket OAuth consumer",
        "bitbucket",
        "[0-9A-Za-z]{32}|[0-9A-Za-z=_-]{64}",
        inside="0-9A-Za-z_-",
    ),
    prefixed("atlassian-token", "Atlassian account token", "ATATT3", "[0-9A-Za-z_=-]", 160, 250, 6),
    near("atlassian-token", "the older one", "atlassian|confluence|jira", "[0-9A-Za-z]{24}"),
    near("gitea-token", "Gitea or Forgejo token", "gitea|forgejo|codeberg", "[0-9a-f]{40}"),
    near("gitter-token", "Gitter token", "gitter", "[0-9A-Za-z_-]{40}", inside="0-9A-Za-z_-"),
    prefixed("sourcegraph-token", "Sourcegraph token", "sgp_(?:(?:[0-9a-fA-F]{16}|local)_)?", HEX_ANY, 40, 40, 4),
    near("sourcegraph-token", "the older one", "sourcegraph", "[0-9a-fA-F]{40}"),
    prefixed("npm-token", "npm access token", "npm_", AZ, 36, 36, 4),
    near(
        "npm-registry-token",
        "token for a registry in .npmrc",
        "_authtoken",
        f"{UUID}|[0-9A-Za-z_+/=.-]{{32,200}}",
        inside="0-9A-Za-z_+/.-",
    ),
    prefixed("pypi-token", "PyPI upload token, a macaroon", "pypi-Ag[EI]", WORD, 50, 500, 5),
    prefixed("rubygems-key", "RubyGems API key", "rubygems_", HEX, 48, 48, 9),
    prefixed("crates-token", "token of Cargo's package registry", "cio", AZ, 32, 32, 3, 0.95),
    alone("nuget-key", "NuGet key", "oy2[0-9a-z]{43}", 0.99, 3),
    prefixed("packagist-token", "Packagist token", "packagist_[ou][ru]t_", HEX, 68, 68, 10),
    prefixed("clojars-token", "Clojars token", "CLOJARS_", AZ, 60, 60, 8),
    prefixed("docker-token", "Docker Hub token", "dckr_[op]at_", WORD, 27, 64, 9),
    prefixed("jfrog-token", "JFrog API key or reference token", "(?:AKCp|cmVmdGtu)", AZ, 56, 69, 4),
    near(
        "jfrog-token", "JFrog identity token or older key", "jfrog|artifactory|bintray|xray", "[0-9A-Za-z]{64}|[0-9A-Za-z]{73}"
    ),
    near("cloudsmith-key", "Cloudsmith key", "cloudsmith", "[0-9a-f]{40}"),
    near("packagecloud-token", "packagecloud token", "packagecloud", "[0-9a-f]{48}"),
    near("gemfury-token", "Gemfury token", r"gemfury|\bfury", "[0-9A-Za-z]{20,32}"),
    prefixed("circleci-token", "CircleCI personal or project token", "CCIP(?:AT|RJ)_[0-9A-Za-z]{22}_", HEX, 40, 40, 7),
    near("circleci-token", "the older one", "circle_?ci|circle_token", "[0-9a-f]{40}"),
    near("travis-token", "Travis CI token", "travis", "[0-9A-Za-z_-]{20,22}", inside="0-9A-Za-z_-"),
    near("drone-token", "Drone token", "drone", "[0-9A-Za-z]{32}"),
    prefixed("buildkite-token", "Buildkite user or agent token", "bk(?:ua|aj|ct)_", HEX, 40, 40, 5),
    near("codecov-token", "Codecov token", "codecov", f"[0-9A-Za-z]{{32}}|{UUID}"),
    near("coveralls-token", "Coveralls token", "coveralls", "[0-9A-Za-z]{32,37}"),
    near("appveyor-token", "AppVeyor token", "appveyor", r"v2\.[0-9A-Za-z]{20}|[0-9a-z]{20}"),
    near("jenkins-token", "Jenkins token", "jenkins", "11[0-9a-f]{32}"),
    near("bitrise-token", "Bitrise token", "bitrise", "[0-9A-Za-z_-]{86}", inside="0-9A-Za-z_-"),
    near("octopus-key", "Octopus Deploy key", "octopus|x-octopus-apikey", "API-[0-9A-Z]{25,31}"),
    alone("octopus-key", "known by its form alone", "API-[0-9A-Z]{26}", 0.9, 4),
    near("expo-token", "Expo token", r"\bexpo(?:_|\b)|\beas\b", "[0-9A-Za-z_-]{40}", inside="0-9A-Za-z_-"),
    prefixed("harness-token", "Harness token", r"[ps]at\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z]{24}\.", AZ, 20, 20, 3),
    prefixed("sonar-token", "SonarQube token", "sq[apu]_", HEX, 40, 40, 4),
    near("sonar-token", "the older one", "sonar", "(?:sq[apu]_)?[0-9A-Za-z]{40}"),
    prefixed("snyk-token", "Snyk token", r"snyk_[a-z]{3}\.[0-9a-z]{8}\.", WORD, 40, 200, 5),
    near("snyk-token", "the older one, a UUID", "snyk", UUID),
    prefixed("deepsource-token", "DeepSource token", "dsp_", HEX, 40, 40, 4),
    near("codacy-token", "Codacy token", "codacy", "[0-9a-f]{32}|[0-9A-Za-z]{20}"),
    near(
        "codeclimate-token", "Code Climate reporter id or token", "code_?climate|cc_test_reporter", "[0-9a-f]{40}|[0-9a-f]{64}"
    ),
    alone("launchdarkly-key", "LaunchDarkly API, SDK or mobile key", f"(?:api|sdk|mob)-{UUID}", 0.95, 4),
    near("launchdarkly-key", "the older one", r"launch_?darkly", "[0-9A-Za-z=_-]{40}", inside="0-9A-Za-z_-"),
    near("statsig-key", "Statsig secret", "statsig", "(?:secret|console)-[0-9A-Za-z]{40,48}"),
    prefixed("postman-key", "Postman API key", "PMAK-[0-9a-f]{24}-", HEX, 34, 34, 5),
    prefixed("postman-key", "token of a Postman collection", "PMAT-", UPPER, 26, 26, 5),
    prefixed("readme-token", "ReadMe token", "rdme_", LOWER, 70, 70, 5),
    prefixed("pulumi-token", "Pulumi access token", "pul-", HEX, 40, 40, 4),
    prefixed("terraform-token", "HCP Terraform token", r"[0-9A-Za-z]{14}\.atlasv1\.", "[0-9A-Za-z_=-]", 60, 70, 0),
    prefixed("prefect-token", "Prefect token", "pn[ub]_", AZ, 36, 36, 4),
    alone("infracost-key", "Infracost key", "ico-[0-9A-Za-z]{32}", 0.99, 4, _is_no_digest),
    prefixed("settlemint-token", "SettleMint token", "sm_[pas]at_", AZ, 16, 16, 7),
    prefixed("doppler-token", "Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", DOTTED, 40, 60, 3),
    prefixed("infisical-token", "Infisical token", r"st\.[0-9a-f]{24}\.[0-9a-f]{32}\.", HEX, 32, 32, 3),
    prefixed("onepassword-token", "1Password service account token", "ops_eyJ", BASE64, 200, 900, 4),
    alone("onepassword-token", "1Password secret key", "A3-[0-9A-Z]{6}-(?:[0-9A-Z]{5,6}-){4,5}[0-9A-Z]{5}", 0.99, 3),
    alone("onepassword-token", "the older form", "A3-[0-9A-Z]{6}-[0-9A-Z]{11}(?:-[0-9A-Z]{5}){3}", 0.99, 3),
    alone(
        "bitwarden-token", "Bitwarden Secrets Manager token", rf"0\.{UUID}\.[0-9A-Za-z]{{30}}:[0-9A-Za-z+/]{{22}}==", 0.99, 2
    ),
    prefixed("vault-token", "HashiCorp Vault service, batch or recovery token", r"hv[sbr]\.", WORD, 24, 300, 4),
    near(
        "vault-token", "the older service token", r"vault|token|secret|x-vault", r"s\.[0-9A-Za-z]{24}", inside="0-9A-Za-z_.=-"
    ),
    near("consul-token", "Consul token, a UUID", "consul", UUID, 0.9),
    near("nomad-token", "Nomad token, a UUID", "nomad", UUID, 0.9),
    prefixed("age-key", "age secret key", "AGE-SECRET-KEY-1", UPPER, 58, 58, 16),
    prefixed("chromatic-token", "Chromatic project token", "chpt_", HEX, 12, 40, 5),
)
