package cli

import (
	"math"
	"net/url"
	"strings"
	"unicode"
)

// secretName reports whether a name says that its value is nobody's business, in any spelling: API_KEY, apiKey,
// db-password.
func secretName(name string) bool {
	for _, word := range nameWords(name) {
		switch word {
		case "KEY", "KEYS", "PASS", "PWD", "PIN", "OTP", "AUTH", "DSN", "PEM", "CERT", "SALT", "JWT", "BEARER", "COOKIE", "SIGNATURE":
			return true
		}
	}
	upper := strings.ToUpper(name)
	for _, part := range []string{
		"SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "CREDENTIAL", "PRIVATE", "APIKEY", "ACCESSKEY", "AUTHORIZATION",
		"CONNECTION_STRING", "CONNECTIONSTRING", "WEBHOOK", "SIGNING", "ENCRYPTION",
	} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	return false
}

// nameWords splits API_KEY, api-key and apiKey into API and KEY.
func nameWords(name string) []string {
	var spaced strings.Builder
	lower := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && lower:
			spaced.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		spaced.WriteRune(unicode.ToUpper(r))
	}
	return strings.Fields(spaced.String())
}

// secretValue reports whether a value looks like a secret whatever its name: a URL with a password, a key, a token.
func secretValue(value string) bool {
	if u, err := url.Parse(value); err == nil && u.User != nil {
		if _, password := u.User.Password(); password {
			return true
		}
	}
	if strings.Contains(value, "-----BEGIN ") {
		return true
	}
	for _, prefix := range []string{"AKIA", "ASIA", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "sk_live_", "rk_live_", "sk-", "xox", "eyJ", "AIza", "npm_", "SG."} {
		if strings.HasPrefix(value, prefix) && len(value) >= 16 {
			return true
		}
	}
	return looksRandom(value)
}

// looksRandom reports whether a value has the length and the mixture of a key: 32 hexadecimal digits or more, or 20
// characters of base64 with more than 4 bits in each.
func looksRandom(value string) bool {
	if len(value) < 20 {
		return false
	}
	counts, hexadecimal, digits, letters := map[rune]float64{}, true, false, false
	for _, r := range value {
		switch {
		case r >= '0' && r <= '9':
			digits = true
		case r >= 'a' && r <= 'f', r >= 'A' && r <= 'F':
			letters = true
		case r >= 'g' && r <= 'z', r >= 'G' && r <= 'Z':
			letters, hexadecimal = true, false
		case strings.ContainsRune("+/=_-", r):
			hexadecimal = false
		default:
			return false
		}
		counts[r]++
	}
	entropy, n := 0.0, float64(len(value))
	for _, c := range counts {
		entropy -= c / n * math.Log2(c/n)
	}
	if hexadecimal {
		return digits && letters && len(value) >= 32 && entropy > 3
	}
	return digits && letters && entropy > 4
}
