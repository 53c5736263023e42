package cli

import "testing"

func TestActorOf(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"": {},
		"ana (https://github.com/o/r/actions/runs/8812)": {
			"GITHUB_ACTOR": "ana", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "8812", "USER": "runner",
		},
		"leo (https://gitlab.example/j/1)": {"GITLAB_USER_LOGIN": "leo", "CI_JOB_URL": "https://gitlab.example/j/1"},
		"eve":                              {"USER": "eve"},
		"me":                               {"SERIN_ACTOR": "me", "GITHUB_ACTOR": "ana"},
		"a?b?":                             {"SERIN_ACTOR": "a\nbé"},
	} {
		if got := actorOf(func(name string) string { return env[name] }); got != want {
			t.Errorf("%v: %q, want %q", env, got, want)
		}
	}
}
