package control

import (
	"context"

	"serin"
)

// UpdateRouteSettings changes how the version of invocations of an alias is picked, or of the function itself if the
// qualifier is "$LATEST", and returns the settings.
//
// Errors: those of [serin.Function.UpdateRouteSettings].
func (c *Control) UpdateRouteSettings(ctx context.Context, function, qualifier string, up serin.RouteSettingsUpdate) (serin.RouteSettings, error) {
	var s serin.RouteSettings
	_, err := c.update(ctx, function, qualifier, func(f *serin.Function) (err error) {
		s, err = f.UpdateRouteSettings(c.change(ctx, serin.CauseSettings), qualifier, up)
		return err
	})
	return s, err
}
