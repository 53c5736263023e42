package serin

import "context"

type actorKey struct{}

// WithActor returns a context that carries who asked for the work done under it: the access key that
// signed the request, or the name of a part of the server such as "release". It is request-scoped data
// that ends up in histories; no rule depends on it.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorFrom returns the actor of the context, or "" if it has none.
func ActorFrom(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

type warningKey struct{}

// WithWarnings returns a context under which [Warn] calls warn.
func WithWarnings(ctx context.Context, warn func(text string)) context.Context {
	return context.WithValue(ctx, warningKey{}, warn)
}

// Warn tells whoever asked for the work under the context something that is no error, such as that another
// version of an interpreter runs their function.
func Warn(ctx context.Context, text string) {
	if warn, ok := ctx.Value(warningKey{}).(func(string)); ok {
		warn(text)
	}
}
