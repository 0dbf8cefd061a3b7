"""Credentials of payments, shops, banks and exchanges."""

from typing import Final

from sidecar.detect.kinds import Candidate, Detector
from sidecar.detect.secrets.credential_context import is_drawn
from sidecar.detect.secrets.shapes import AZ, BASE64, DASHED, HEX, HEX_ANY, LOOSE, UUID, WORD, alone, near, prefixed


def _is_drawn_last(candidate: Candidate) -> bool:
    """The part after the last sign; the signs before it belong to the form."""
    return is_drawn(candidate.value.rpartition("$")[2])


DETECTORS: Final[tuple[Detector, ...]] = (
    prefixed("stripe-key", "Stripe secret or restricted key", "[rs]k_(?:live|test|prod)_", AZ, 10, 255, 3),
    prefixed("stripe-key", "what signs Stripe's webhooks", "whsec_", BASE64, 32, 64, 6),
    prefixed("square-token", "Square access token or secret", "sq0(?:atp|csp|idp)-", WORD, 22, 50, 7),
    alone("square-token", "the newer access token", "EAAA[0-9A-Za-z_-]{60}", 0.95, 4),
    alone(
        "braintree-token",
        "Braintree access token",
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",
        0.99,
        12,
        _is_drawn_last,
    ),
    near("braintree-token", "private key", "braintree", "[0-9a-f]{32}"),
    near("paypal-secret", "PayPal client secret or id", "paypal", "[AE][0-9A-Za-z_-]{79}", inside="0-9A-Za-z_-"),
    prefixed("plaid-token", "Plaid access token", "access-(?:sandbox|development|production)-", DASHED, 36, 36, 7),
    near("plaid-secret", "Plaid secret or client id", "plaid", "[0-9A-Za-z]{30}|[0-9A-Za-z]{24}"),
    prefixed("adyen-key", "Adyen key", "AQE[a-z][hm][a-z]", BASE64, 60, 300, 3),
    alone("razorpay-key", "Razorpay key id", "rzp_(?:live|test)_[0-9A-Za-z]{14}", 0.99, 4),
    near("razorpay-secret", "Razorpay secret", "razorpay", "[0-9A-Za-z]{24}"),
    alone("mollie-key", "Mollie key", "(?:live|test)_[0-9A-Za-z]{30}", 0.95, 5, inside="0-9A-Za-z_"),
    prefixed("gocardless-token", "GoCardless token", "live_", LOOSE, 40, 40, 5),
    alone("checkout-key", "Checkout.com secret key", r"sk_(?:sbox_)?[a-z2-7]{26}[a-z2-7*#$=]", 0.95, 3),
    near("wise-token", "Wise token, a UUID", r"transferwise|\bwise_", UUID, 0.9),
    near("coinbase-token", "Coinbase token", "coinbase", "[0-9A-Za-z_-]{64}", inside="0-9A-Za-z_-"),
    near("binance-key", "Binance key or secret", "binance", "[0-9A-Za-z]{64}"),
    near("kraken-key", "Kraken key or secret", "kraken", "[0-9A-Za-z/=_+-]{80,90}", inside="0-9A-Za-z/+_-"),
    near("kucoin-key", "KuCoin key or secret", "kucoin", f"[0-9a-f]{{24}}|{UUID}"),
    near("bittrex-key", "Bittrex key or secret", "bittrex", "[0-9A-Za-z]{32}"),
    near("finicity-token", "Finicity token or secret", "finicity", "[0-9A-Za-z]{32}|[0-9A-Za-z]{20}"),
    near("finnhub-token", "Finnhub token", "finnhub", "[0-9A-Za-z]{20}|[0-9A-Za-z]{40}"),
    near("alphavantage-key", "Alpha Vantage key", r"alpha_?vantage", "[0-9A-Z]{16}"),
    near("alpaca-key", "Alpaca key or secret", r"alpaca|apca", "[AP]K[0-9A-Z]{18,24}|[0-9A-Za-z]{40,44}"),
    prefixed("shippo-token", "Shippo token", "shippo_(?:live|test)_", HEX, 40, 40, 7),
    alone("easypost-key", "EasyPost API key", "EZ[AT]K[0-9A-Za-z]{54}", 0.99, 4),
    alone("lob-key", "Lob key", "(?:live|test)_(?:pub_)?[0-9a-f]{31,35}", 0.95, 5, inside="0-9A-Za-z_"),
    prefixed("paddle-key", "Paddle key", "pdl_(?:live|sdbx)_apikey_[0-9a-z]{26}_", "[0-9A-Za-z_]", 20, 40, 9),
    near("chargebee-key", "Chargebee key", "chargebee", "(?:live|test)_[0-9A-Za-z]{24,44}"),
    near("recurly-key", "Recurly key", "recurly", "[0-9a-f]{32}"),
    near("freemius-secret", "Freemius secret key", "freemius|secret_key", r"sk_[^\s\"'`,;]{29}", 0.9, inside="0-9A-Za-z_"),
    near("etsy-token", "Etsy token", r"\betsy|etsy_?(?:api|key|token)", "[0-9A-Za-z]{24}"),
    prefixed("shopify-token", "Shopify token or shared secret", "shp(?:at|ca|pa|ss|ua|tka)_", HEX_ANY, 32, 32, 6),
    near("squarespace-token", "Squarespace token, a UUID", "squarespace", UUID),
    alone("woocommerce-key", "WooCommerce key or secret", "c[ks]_[0-9a-f]{40}", 0.99, 3),
    near("bigcommerce-token", "BigCommerce token", "bigcommerce", "[0-9a-z]{31,32}"),
    prefixed("duffel-token", "Duffel token", "duffel_(?:live|test)_", LOOSE, 43, 43, 7),
    prefixed("flutterwave-key", "Flutterwave secret or encryption key", "FLWSECK(?:_TEST)?-", HEX, 12, 40, 8),
    near("amadeus-secret", "Amadeus key or secret", "amadeus", "[0-9A-Za-z]{32}|[0-9A-Za-z]{16}"),
)
